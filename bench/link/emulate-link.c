/*
 * Emulates a slow link between this network namespace and another one, in user space: kernels of containers often lack
 * sch_netem. Creates a TAP device on either side and forwards Ethernet frames between them. In each direction a frame
 * is lost at random, or waits for those before it in a bounded queue, takes the time that the rate gives it, and
 * arrives after the delay. Lost frames take no time on the link.
 *
 *   emulate-link DEVICE NAMESPACE PEER_DEVICE MBIT DELAY_MS LOSS_PERCENT QUEUE_KIB [TRACE_MS]
 *
 * NAMESPACE is a path. All limits apply to each direction. Writes "up" to stdout when both devices exist, and at the
 * end of stdin one line of JSON: times in ns of the first TCP frame and of the last one with payload, bytes of frames
 * and of TCP payload that arrived at DEVICE, frames lost, frames that the full queue dropped, and whether the emulator
 * itself was late by more than 10 ms. With TRACE_MS, it also writes for each such interval "trace TIME PORT BYTES", the
 * payload to each port of DEVICE's side.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FRAME = 2048, BURST = 64, PORTS = 65536 };
static const uint64_t LATE_NS = 10000000;

struct frame {
  struct frame *next;
  uint64_t due;
  int length;
  unsigned char bytes[];
};

/* One direction. `free_at`: when the last queued frame has left the sender. */
struct direction {
  int in, out;
  uint64_t free_at;
  struct frame *first, *last;
};

static double ns_per_byte, loss;
static uint64_t delay_ns, queue_ns, trace_ns;
static uint64_t first_at, last_at, frame_bytes, payload_bytes, lost, dropped, late;
static uint64_t traced[PORTS];

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int open_tap(const char *device) {
  int file = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  if (file < 0) fail("/dev/net/tun");
  struct ifreq request = {0};
  strncpy(request.ifr_name, device, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (ioctl(file, TUNSETIFF, &request)) fail("TUNSETIFF");
  return file;
}

/* Bytes of TCP payload of an Ethernet frame; -1 if it is not TCP over IPv4. */
static int tcp_payload(const unsigned char *b, int length, int *port) {
  if (length < 54 || b[12] != 8 || b[13] != 0 || b[23] != 6) return -1;
  int header = (b[14] & 15) * 4;
  const unsigned char *tcp = b + 14 + header;
  *port = tcp[2] << 8 | tcp[3];
  return (b[16] << 8 | b[17]) - header - (tcp[12] >> 4) * 4;
}

static void enqueue(struct direction *d, const unsigned char *bytes, int length, uint64_t at) {
  int port;
  if (!first_at && tcp_payload(bytes, length, &port) >= 0) first_at = at;
  if (drand48() < loss) {
    lost++;
    return;
  }
  if (d->free_at < at) d->free_at = at;
  if (d->free_at - at > queue_ns) {
    dropped++;
    return;
  }
  d->free_at += (uint64_t)(length * ns_per_byte);
  struct frame *frame = malloc(sizeof *frame + length);
  if (!frame) fail("malloc");
  frame->next = 0;
  frame->due = d->free_at + delay_ns;
  frame->length = length;
  memcpy(frame->bytes, bytes, length);
  if (d->last) d->last->next = frame;
  else d->first = frame;
  d->last = frame;
}

static void count_arrival(const struct frame *frame, uint64_t at) {
  int port;
  int payload = tcp_payload(frame->bytes, frame->length, &port);
  if (payload < 0) return;
  frame_bytes += frame->length;
  if (payload == 0) return;
  payload_bytes += payload;
  traced[port] += payload;
  last_at = at;
}

/* Delivers what is due. Returns when the next frame is, or 0. */
static uint64_t deliver(struct direction *d, int counts, uint64_t at) {
  for (struct frame *frame; (frame = d->first) && frame->due <= at; free(frame)) {
    if (at - frame->due > LATE_NS) late++;
    if (write(d->out, frame->bytes, frame->length) != frame->length) lost++;
    else if (counts) count_arrival(frame, at);
    d->first = frame->next;
    if (!d->first) d->last = 0;
  }
  return d->first ? d->first->due : 0;
}

static void trace(uint64_t at) {
  for (int port = 0; port < PORTS; port++)
    if (traced[port]) {
      printf("trace %llu %d %llu\n", (unsigned long long)at, port, (unsigned long long)traced[port]);
      traced[port] = 0;
    }
}

int main(int count, char **given) {
  if (count < 8) {
    fprintf(stderr, "usage: emulate-link DEVICE NAMESPACE PEER_DEVICE MBIT DELAY_MS LOSS_PERCENT QUEUE_KIB [TRACE_MS]\n");
    return 2;
  }
  ns_per_byte = 8000 / atof(given[4]);
  delay_ns = atof(given[5]) * 1e6;
  loss = atof(given[6]) / 100;
  queue_ns = atof(given[7]) * 1024 * ns_per_byte;
  trace_ns = count > 8 ? atof(given[8]) * 1e6 : 0;
  srand48(now());
  prctl(PR_SET_TIMERSLACK, 1);
  /* Best effort: other processes should not make the link slower. */
  sched_setscheduler(0, SCHED_RR, &(struct sched_param){.sched_priority = 1});
  int own = open_tap(given[1]);
  int namespace = open(given[2], O_RDONLY);
  if (namespace < 0 || setns(namespace, CLONE_NEWNET)) fail(given[2]);
  int peer = open_tap(given[3]);
  struct direction directions[2] = {{.in = peer, .out = own}, {.in = own, .out = peer}};
  puts("up");
  fflush(stdout);
  uint64_t traced_at = 0;
  for (;;) {
    uint64_t at = now(), due = 0;
    for (int i = 0; i < 2; i++) {
      uint64_t next = deliver(&directions[i], i == 0, at);
      if (next && (!due || next < due)) due = next;
    }
    if (trace_ns && at - traced_at >= trace_ns) {
      trace(at);
      traced_at = at;
    }
    struct timespec wait, *limit = 0;
    if (due) {
      at = now();
      uint64_t ns = due > at ? due - at : 0;
      wait.tv_sec = ns / 1000000000u;
      wait.tv_nsec = ns % 1000000000u;
      limit = &wait;
    }
    struct pollfd polled[3] = {{peer, POLLIN, 0}, {own, POLLIN, 0}, {0, POLLIN, 0}};
    if (ppoll(polled, 3, limit, 0) < 0 && errno != EINTR) fail("ppoll");
    at = now();
    for (int i = 0; i < 2; i++)
      for (int n = 0; n < BURST && polled[i].revents & POLLIN; n++) {
        unsigned char bytes[MAX_FRAME];
        int length = read(directions[i].in, bytes, sizeof bytes);
        if (length <= 0) break;
        enqueue(&directions[i], bytes, length, at);
      }
    if (polled[2].revents) {
      char end[64];
      if (read(0, end, sizeof end) <= 0) break;
    }
  }
  if (trace_ns) trace(now());
  printf("{\"firstNs\":%llu,\"lastNs\":%llu,\"frameBytes\":%llu,\"payloadBytes\":%llu,\"lost\":%llu,\"dropped\":%llu,\"late\":%llu}\n",
         (unsigned long long)first_at, (unsigned long long)last_at, (unsigned long long)frame_bytes,
         (unsigned long long)payload_bytes, (unsigned long long)lost, (unsigned long long)dropped,
         (unsigned long long)late);
  return 0;
}
