"""Devices: reaching them, bringing what a run needs, and running it there so that a lost connection loses nothing.

Files:

spec.py, devices.py     which device, and the file that names them
ssh.py, local.py        the process whose stdin and stdout are the connection
connection.py           requests and answers over it
session.py              the same with reconnecting, copying and fetching
bundle.py               what a run needs there: this package and the wheels of its dependencies
job.py                  the steps of a run, started and followed
deploy.py               a whole deployment on several devices
on_device/              what runs there; each file stands alone, with the standard library only
"""
