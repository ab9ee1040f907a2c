# The command line in an image, which works on the folder that is mounted at /work:
#
#   docker build -t resnet-deploy .
#   docker run --rm -v "$PWD:/work" resnet-deploy doctor
#
# `--target runtime` leaves PyTorch out: that image runs, measures, verifies and quantizes files, and
# makes no networks.

FROM python:3.11.13-slim-bookworm AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1

FROM base AS source
WORKDIR /source
RUN python -m venv /opt/venv
COPY pyproject.toml constraints.txt requirements-runtime.txt README.md LICENSE ./
COPY resnet_deploy resnet_deploy

FROM source AS build-runtime
ARG PIP_EXTRA_INDEX_URL
RUN pip install --no-cache-dir -c constraints.txt -r requirements-runtime.txt \
    && pip install --no-cache-dir --no-deps .

FROM source AS build-full
ARG PIP_EXTRA_INDEX_URL
RUN pip install --no-cache-dir -c constraints.txt .

# Whoever starts it by `--user` has no folder of his own: what is kept is kept in /tmp.
FROM base AS user
ENV HOME=/tmp
RUN install --directory --owner=1000 --group=1000 /work
USER 1000:1000
WORKDIR /work
ENTRYPOINT ["resnet-deploy"]
CMD ["--help"]

FROM user AS runtime
COPY --from=build-runtime /opt/venv /opt/venv

FROM user AS full
COPY --from=build-full /opt/venv /opt/venv
