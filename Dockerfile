# One image for every role: `celeriac worker` (what it runs by default), `celeriac serve`, and the commands for those who operate it.
#
#   docker build -t celeriac .
#   docker run --rm --read-only --tmpfs /tmp -v celeriac:/data -e REDIS_URL=redis://host:6379/0 celeriac
#
# The root file system may be read-only: what is written lies in /data (the store and the archive, where no other are set) and /tmp.
# `scripts/image-check` goes through these steps where there is no container engine. To pin the bases harder, give their digests:
#   --build-arg RUST_IMAGE=rust:1.95.0-slim-bookworm@sha256:… --build-arg RUNTIME_IMAGE=debian:bookworm-slim@sha256:…
ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${RUST_IMAGE} AS builder
RUN apt-get update \
    && apt-get install -y --no-install-recommends make nasm \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
# Functions keep their names in a backtrace; lines do not, which is most of the size.
RUN CARGO_PROFILE_RELEASE_STRIP=debuginfo cargo build --release --locked -p celeriac-app

FROM ${RUNTIME_IMAGE} AS pdfium
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-pip \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY scripts/get-pdfium scripts/steps.sh scripts/
RUN scripts/get-pdfium /opt/pdfium

FROM ${RUNTIME_IMAGE} AS runtime
# More languages for OCR or fonts for pages that bring none: --build-arg EXTRA_PACKAGES="tesseract-ocr-deu fonts-noto-cjk"
ARG EXTRA_PACKAGES=""
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates espeak-ng fonts-dejavu-core fonts-liberation lame tesseract-ocr tini ${EXTRA_PACKAGES} \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /data --shell /usr/sbin/nologin celeriac \
    && install -d -o celeriac -g celeriac -m 0750 /data
COPY --from=pdfium /opt/pdfium/libpdfium.so /opt/pdfium/VERSION /usr/local/lib/celeriac/pdfium/
COPY --from=pdfium /opt/pdfium/licenses/ /usr/local/share/licenses/celeriac/pdfium/
COPY LICENSE-MIT LICENSE-APACHE /usr/local/share/licenses/celeriac/
COPY celery_config.toml /etc/celeriac/
COPY --from=builder /build/target/release/celeriac /usr/local/bin/

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="celeriac" \
    org.opencontainers.image.description="A Celery-compatible worker runtime, and on it a system that takes apart large documents" \
    org.opencontainers.image.licenses="(MIT OR Apache-2.0) AND BSD-3-Clause" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"

ENV LANG=C.UTF-8 \
    HOME=/data \
    CELERIAC_CONFIG=/etc/celeriac/celery_config.toml \
    CELERIAC_PDFIUM=/usr/local/lib/celeriac/pdfium \
    CELERIAC_STORE=/data/celeriac-store
USER 10001:10001
WORKDIR /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["celeriac", "healthcheck"]
# tini is process 1, which has its own rules for signals and for orphans; it passes every signal on.
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["celeriac", "worker"]
