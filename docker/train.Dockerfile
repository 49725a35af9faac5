# segkd with CUDA on x86-64 and arm64 servers: train, distill, eval, export, report. See docs/docker.md.
#   docker build -f docker/train.Dockerfile -t segkd:train .
ARG WHEEL_BASE=python:3.12.12-slim-bookworm
# torch's wheels bring CUDA, cuDNN and NCCL. The base adds the check of the driver and the library for older ones.
ARG BASE=nvidia/cuda:13.0.2-base-ubuntu24.04

FROM --platform=$BUILDPLATFORM ${WHEEL_BASE} AS wheel
ARG EXTRAS=train,export,report,data
WORKDIR /src
COPY constraints.txt pyproject.toml docker/requirements.py ./
RUN pip install --no-cache-dir -c constraints.txt build hatchling \
    && mkdir /out \
    && python requirements.py "${EXTRAS}" < pyproject.toml > /out/requirements.txt
COPY README.md LICENSE ./
COPY core core
COPY distill distill
COPY export export
COPY deploy deploy
RUN python -m build --wheel --no-isolation --outdir /out

FROM ${BASE} AS runtime
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
ARG PIP_CACHE_DIR=/var/cache/pip
# Dependencies and segkd are two layers: a change of segkd's code moves a few MB.
RUN --mount=type=cache,target=/var/cache/pip \
    --mount=type=bind,source=constraints.txt,target=/tmp/constraints.txt \
    --mount=type=bind,from=wheel,source=/out/requirements.txt,target=/tmp/requirements.txt \
    python3 -m venv /opt/segkd \
    && /opt/segkd/bin/pip install -c /tmp/constraints.txt -r /tmp/requirements.txt
RUN --mount=type=bind,from=wheel,source=/out,target=/tmp/out \
    /opt/segkd/bin/pip install --no-cache-dir --no-index --no-deps /tmp/out/*.whl \
    && /opt/segkd/bin/pip check
# Writable for every user, so that `docker run --user "$(id -u):$(id -g)"` works.
RUN useradd --no-log-init --no-create-home --home-dir /var/lib/segkd --uid 10001 segkd \
    && install -d -m 1777 /var/lib/segkd /var/cache/segkd /work

ENV PATH=/opt/segkd/bin:$PATH \
    HOME=/var/lib/segkd \
    USER=segkd \
    XDG_CACHE_HOME=/var/cache/segkd \
    PYTHONUNBUFFERED=1
WORKDIR /work
USER 10001:10001
HEALTHCHECK --interval=5m --timeout=30s CMD ["segkd", "doctor"]
ENTRYPOINT ["segkd"]
CMD ["doctor"]

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="segkd train" \
      org.opencontainers.image.description="Train, distil and export segmentation models with CUDA" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
