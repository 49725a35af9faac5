# segkd without a GPU, x86-64: export, lint, build with TensorRT-RTX, validate, release; for CI. See docs/docker.md.
#   docker build -f docker/export.Dockerfile -t segkd:export .
ARG WHEEL_BASE=python:3.12.12-slim-bookworm
ARG BASE=python:3.12.12-slim-bookworm

FROM --platform=$BUILDPLATFORM ${WHEEL_BASE} AS wheel
ARG EXTRAS=train,export,report,data,rtx
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
# PyPI's torch for x86-64 brings several GB of CUDA. With the address of an index of torch's CPU wheels: without it.
ARG TORCH_INDEX=
ARG PIP_CACHE_DIR=/var/cache/pip
# Dependencies and segkd are two layers: a change of segkd's code moves a few MB.
RUN --mount=type=cache,target=/var/cache/pip \
    --mount=type=bind,source=constraints.txt,target=/tmp/constraints.txt \
    --mount=type=bind,from=wheel,source=/out/requirements.txt,target=/tmp/requirements.txt \
    python3 -m venv /opt/segkd \
    && if [ -n "${TORCH_INDEX}" ]; then \
        PIP_INDEX_URL="${TORCH_INDEX}" /opt/segkd/bin/pip install -c /tmp/constraints.txt --no-deps torch; fi \
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
LABEL org.opencontainers.image.title="segkd export" \
      org.opencontainers.image.description="Export, lint, validate and release segmentation models on CPUs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
