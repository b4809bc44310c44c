# One image for a whole layer (`terrace up`) and for each of its services alone (docker-compose.yml), amd64 and arm64.
# The base is any Debian with Node 24 and npm. nats-server is that of the image NATS (in its /usr/local/bin), else that of
# the base, else Debian's, which is older: `terrace status` says what is known against the one that runs.
# It runs as any user, with a read-only root: what is written lies in the data volume and in /tmp.
ARG BASE=node:24-bookworm-slim
ARG NATS=nats:2.14-alpine
FROM ${NATS} AS nats

# Of that image the one program. Where BASE stands for it, too, there may be none.
FROM ${BASE} AS bus
COPY --from=nats /usr/local/bin /nats
RUN mkdir /bus && { [ ! -x /nats/nats-server ] || cp /nats/nats-server /bus/; }

# The page is bundled here, as the image has none of the development packages.
FROM ${BASE} AS page
WORKDIR /opt/terrace
COPY package.json package-lock.json .npmrc tsconfig.json ./
RUN npm ci --ignore-scripts
COPY proto proto
COPY page page
RUN node page/build.ts && [ -s services/gateway/page/built/index.html ]

FROM ${BASE}
COPY --from=bus /bus /usr/local/bin
# Only what is missing: a second, older nats-server would be one that scanners report. And one that does not run on this
# base ends the build.
RUN set --; command -v nats-server || set -- nats-server; \
    [ -e /etc/ssl/certs/ca-certificates.crt ] || set -- "$@" ca-certificates; \
    [ $# -eq 0 ] || { apt-get update && apt-get install -y --no-install-recommends "$@" \
 && rm -rf /var/lib/apt/lists/*; } && nats-server --version
WORKDIR /opt/terrace
COPY package.json package-lock.json .npmrc ./
# The base has its Node, so the one among the optional dependencies stays out.
RUN npm ci --omit=dev --omit=optional && rm -rf /root/.npm
RUN useradd --system --uid 10001 --home-dir /data terrace \
 && install -d -o terrace -g terrace -m 0750 /data /var/acr/data \
 && ln -s /opt/terrace/cli/terrace /usr/local/bin/terrace
# What changes with each version comes last, so that an update is few bytes.
COPY proto proto
COPY services services
COPY cli cli
COPY --from=page /opt/terrace/services/gateway/page/built services/gateway/page/built
# Compiled once, here: the cache is only read from then on. Node looks for it under the id of the user that runs it, so it
# is there for root and for the user of this image; any other one compiles anew at each start.
ENV NODE_COMPILE_CACHE=/opt/terrace/compiled
RUN node cli/warm.ts && chmod -R a+rX compiled \
 && for made in compiled/*-0; do ln -s "${made##*/}" "${made%-0}-10001" || exit 1; done
LABEL org.opencontainers.image.title="Terrace" \
      org.opencontainers.image.description="A connected container registry for layered networks" \
      org.opencontainers.image.licenses="MIT"
# The data volume is ./data, that is /data, or /var/acr/data with the environment of the connected registry.
WORKDIR /
USER terrace
VOLUME /data
EXPOSE 5000 8080
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["terrace", "health"]
ENTRYPOINT ["terrace"]
# Reachable from outside only with a token: from the configuration document (fields tokens, children), or made first on
# the same volume (terrace token create NAME --push '*').
CMD ["up", "--log-json"]
