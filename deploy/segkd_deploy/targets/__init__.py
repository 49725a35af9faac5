"""Devices: reaching them, bringing what a run needs, and running it there so that a lost connection loses nothing.

Files:

spec.py, devices.py     which device, and the file that names them
transport.py            the process whose stdin and stdout are the connection: local or ssh
connection.py           requests and answers over it
session.py              the same with reconnecting, copying and fetching
payload.py              what a run needs there: this package and the wheels of its dependencies
job.py                  the steps of a run, started and followed
in_threads.py           several devices side by side
deploy.py               a whole deployment on several devices
predictions.py          the labels that the devices gave, compared with each other
verdict.py              what a deployment says of one device, and its exit code
remote.py               ``--target`` of validate and bench
doctor.py               ``doctor --target``
on_device/              what runs there; each file stands alone, with the standard library only
"""
