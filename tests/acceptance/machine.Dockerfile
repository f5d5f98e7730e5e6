# A machine with systemd. BASE has what the `decide` to be tested needs: nothing for the binary.
ARG BASE=debian:trixie-slim
FROM ${BASE}
USER 0:0
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends dbus systemd >/dev/null && rm -rf /var/lib/apt/lists/*
# The package's image has a user of the service's name, which would be taken instead of one that exists while it runs.
RUN ! getent passwd decide || userdel decide
ENTRYPOINT []
STOPSIGNAL SIGRTMIN+3
CMD ["/lib/systemd/systemd"]
