# Two images from one build:
#
#   docker build --tag curfew .                      the service: the program and what it loads, nothing else
#   docker build --tag curfew-demo --target demo .   the demo: the same program beside PostgreSQL's server programs
#
# Both run as user 10001, with a read-only root file system and without capabilities (compose.yaml shows how).
#
# The service's image starts from nothing. Into it go the program, the shared libraries that it names, Debian's
# certificates, and a user. There is no shell, no package manager and no second program for an intruder to use. The
# libraries come from Debian packages and are recorded as such, so that scanners can tell when one must be renewed;
# building again with --pull --no-cache renews them.
#
# There is no HEALTHCHECK: Docker would run it inside the container, where nothing could ask. Let the orchestrator ask
# GET /readyz (ready for people) and GET /healthz (the process lives).
#
# Tags name a release. To pin the very bytes, add digests: --build-arg RUST=1.95-bookworm@sha256:…

ARG RUST=1.95-bookworm
ARG DEBIAN=bookworm-slim

# The same Debian release as below: the program needs a C library that is not older than the one it was linked with.
FROM rust:${RUST} AS build
WORKDIR /src
ENV SQLX_OFFLINE=true
COPY Cargo.toml Cargo.lock ./
# The dependencies alone, with a stand-in for every file that Cargo.toml names: this layer, which takes most of the
# time, is made again only when one of the two files changes.
RUN set -eu; \
    for file in src/main.rs src/lib.rs $(sed -n 's/^path = "\(.*\)"$/\1/p' Cargo.toml); do \
        mkdir -p "$(dirname "$file")"; \
        echo 'fn main() {}' >"$file"; \
    done; \
    cargo build --release --locked
COPY .sqlx .sqlx
COPY migrations migrations
COPY static static
COPY templates templates
COPY src src
# Cargo goes by the time of a file, and the stand-ins are younger than the files that replaced them.
RUN touch src/lib.rs src/main.rs && cargo build --release --locked

FROM debian:${DEBIAN} AS demo
# Without a cluster of the system's own: the demo makes one in its folder.
RUN set -eu; \
    mkdir -p /etc/postgresql-common; \
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf; \
    apt-get update; \
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends postgresql; \
    rm -rf /var/lib/apt/lists/*; \
    groupadd --gid 10001 curfew; \
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin curfew; \
    install --directory --owner=10001 --group=10001 /var/lib/curfew-demo
COPY --from=build /src/target/release/curfew /usr/local/bin/curfew
LABEL org.opencontainers.image.title="Curfew demo" \
      org.opencontainers.image.description="Curfew with a pretend AWS and people without passwords. For looking at, on one machine." \
      org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
VOLUME /var/lib/curfew-demo
EXPOSE 8081
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/curfew"]
CMD ["demo", "--listen", "0.0.0.0:8081", "--data-dir", "/var/lib/curfew-demo"]

FROM debian:${DEBIAN} AS files
RUN set -eu; \
    apt-get update; \
    DEBIAN_FRONTEND=noninteractive apt-get upgrade --yes; \
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates; \
    rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/curfew /usr/local/bin/curfew
# Everything of the service's image, under /image.
RUN set -eu; \
    mkdir -p /image/etc/curfew /image/var/lib/dpkg/status.d /state; \
    ldd /usr/local/bin/curfew | grep -o '/[^ ]*' | xargs cp --parents --dereference --target-directory=/image; \
    cp --parents --dereference --target-directory=/image \
        /usr/local/bin/curfew /etc/ssl/certs/ca-certificates.crt /etc/os-release; \
    for package in libc6 libgcc-s1 ca-certificates; do \
        dpkg-query --status "$package" >"/image/var/lib/dpkg/status.d/$package"; \
        cp --parents --dereference --target-directory=/image "/usr/share/doc/$package/copyright"; \
    done; \
    echo 'curfew:x:10001:10001:Curfew:/nonexistent:/usr/sbin/nologin' >/image/etc/passwd; \
    echo 'curfew:x:10001:' >/image/etc/group; \
    echo 'hosts: files dns' >/image/etc/nsswitch.conf

# Last, so that it is what a build without --target makes.
FROM scratch AS serve
COPY --from=files /image /
COPY --from=files --chown=10001:10001 /state/ /var/lib/curfew/
LABEL org.opencontainers.image.title="Curfew" \
      org.opencontainers.image.description="Just-in-time privileged access broker for AWS IAM Identity Center" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
VOLUME /var/lib/curfew
# curfew.toml and policy.toml are mounted here.
WORKDIR /etc/curfew
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/curfew"]
CMD ["serve"]
