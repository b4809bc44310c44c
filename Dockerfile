# One image for a whole layer (`terrace up`) and for each of its services alone (docker-compose.yml).
# The base is any Debian with Node 24.
ARG BASE=node:24-bookworm-slim
FROM ${BASE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends nats-server ca-certificates \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/terrace
COPY package.json package-lock.json .npmrc ./
# The base has its Node, so the one among the optional dependencies stays out.
RUN npm ci --omit=dev --omit=optional
COPY proto proto
COPY services services
COPY cli cli
RUN ln -s /opt/terrace/cli/terrace /usr/local/bin/terrace \
 && useradd --system --uid 10001 --home-dir /data terrace \
 && install -d -o terrace -g terrace -m 0750 /data
ENV TERRACE_DATA=/data
ENV NODE_COMPILE_CACHE=/tmp/terrace-compile
USER terrace
RUN node /opt/terrace/cli/warm.ts
VOLUME /data
EXPOSE 5000
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["terrace", "health", "--data", "/data"]
ENTRYPOINT ["terrace"]
# Reachable from outside only with a token, made first on the same volume (terrace token create NAME --push '*'), and:
# up --data /data --log-json --listen 0.0.0.0:5000
CMD ["up", "--data", "/data", "--log-json"]
