FROM python:3.13-slim

RUN useradd --create-home --uid 10001 penstock
WORKDIR /app
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY src src
RUN pip install --no-cache-dir --no-deps --no-build-isolation . && install -d -o penstock /data

USER penstock
ENV PENSTOCK_DATA=/data PENSTOCK_HOST=0.0.0.0
VOLUME /data
EXPOSE 8700
HEALTHCHECK --interval=10s --timeout=3s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8700/readyz', timeout=2)"]
ENTRYPOINT ["penstock"]
CMD ["serve"]
