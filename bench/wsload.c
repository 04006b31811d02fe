/* wsload - a neutral WebSocket load generator: protocols are given as templates.
 *
 * Build:  cc -O2 -o wsload wsload.c -lm -lcrypto
 *
 * It opens subscriber connections, runs a per-connection script (--send / --ack in
 * the order given), then publishes from publisher connections and checks that every
 * subscriber got every message exactly once and in order.  Latency comes from a
 * timestamp carried in the payload (CLOCK_MONOTONIC, so one machine only).
 *
 * Templates (paths, --send, --pub-send, --publish, --heartbeat, --on):
 *   %d connection index   %D the same, 6 digits     %g room index   %G the same, 6 digits
 *   %% a percent sign     \xNN \r \n \\  bytes      (any other backslash stays)
 *   only in --publish:  @TS@ 15 digits   @SEQ@ 12 digits   @PAD@ --pad bytes of 'x'
 *                       @PAYLOAD@ {"t":@TS@,"s":@SEQ@,"pad":"xxx"} of exactly --size bytes
 * The received message is found by --ts-mark / --seq-mark (default "t": and "s":).
 *
 * See usage() for the options; the JSON line (--json) carries every figure.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

typedef uint64_t u64;
typedef uint32_t u32;
typedef uint8_t u8;

#define MAXPORT 64
#define MAXSTEP 16
#define MAXPID 64
#define MAXON 8
#define MAXW 64
#define RBUF (1u << 20)
#define TSBASE 100000000000000ULL /* 1e14: the timestamp always has 15 digits, < 2^53 */
#define SUB_BITS 6
#define NBUCKET ((64 - SUB_BITS) << SUB_BITS)

/* ------------------------------------------------------------------ options */
enum { M_FANOUT, M_ECHO, M_CONNECT, M_IDLE };
typedef struct {
	int is_ack;
	const char *s;
} step_t;

static struct {
	const char *host, *hosthdr, *path, *pubpath, *proto, *hdr[16];
	int nhdr, port[MAXPORT], nport, pubport[MAXPORT], npubport;
	int subs, pubs, groups, ppg, member, noself, mode, binary, multi;
	step_t sstep[MAXSTEP], pstep[MAXSTEP];
	int nss, nps;
	const char *publish, *tsmark, *seqmark, *echomark;
	struct {
		const char *pfx, *reply;
	} on[MAXON];
	int non;
	double rate, duration, warmup_s, hold, drain, conn_rate, conn_timeout, hb_s, settle;
	const char *hb;
	long count, warmup;
	int window, conc, pad, size, srcs, workers, json, quiet, ts_actual, cycles;
	int pid[MAXPID], npid;
	const char *label;
} O = {.host = "127.0.0.1",
       .path = "/",
       .subs = 100,
       .groups = 1,
       .tsmark = "\"t\":",
       .seqmark = "\"s\":",
       .window = 1,
       .conc = 128,
       .size = 200,
       .drain = 10,
       .conn_timeout = 120,
       .workers = 1,
       .label = "",
       .cycles = 1,
       .settle = 1.0};

static void
usage(void)
{
	puts("wsload [options]\n"
	     " --host H --port P[,P..]      server(s); several ports = several nodes (subscriber i -> port "
	     "i%n)\n"
	     " --pub-port P[,P..]           nodes for separate publishers (default: --port)\n"
	     " --path T --pub-path T        URL path templates        --subprotocol S   --header 'N: v' "
	     "(repeat)\n"
	     " --subs N --groups G          subscribers, in G rooms (consecutive blocks)\n"
	     " --send T --ack M             subscriber script after open, in order (repeat); M = substring "
	     "of a frame\n"
	     " --pub-send T --pub-ack M     the same for separate publishers\n"
	     " --pubs P                     separate publisher connections per room (default 1)\n"
	     " --member [P]                 the first P members of each room publish instead (default 1)\n"
	     " --no-self                    a member publisher does not receive its own message\n"
	     " --publish T                  publish frame template    --binary  send binary frames\n"
	     " --ts-mark M --seq-mark M     what precedes timestamp and sequence in what is received\n"
	     " --multi                      one frame may hold several messages (timestamp before sequence)\n"
	     " --on PREFIX REPLY            answer a frame that starts with PREFIX (repeat)\n"
	     " --heartbeat SEC T            every connection sends T every SEC seconds\n"
	     " --mode fanout|echo|connect|idle    echo: each connection publishes to itself\n"
	     " --echo-mark M                echo: a frame with M is the reply when no sequence is in it\n"
	     " --rate R                     open loop, R msg/s in all (timestamp = intended time; "
	     "--ts-actual: real)\n"
	     " --window W                   closed loop: W messages in flight per room (default 1)\n"
	     " --count N | --duration S     messages per room / seconds    --warmup N   messages per room "
	     "first\n"
	     " --size B | --pad B           @PAYLOAD@ bytes / @PAD@ bytes\n"
	     " --concurrency C --conn-rate R  ramp: handshakes in flight, and at most R/s\n"
	     " --cycles K                   connect mode: connect, join, close K times\n"
	     " --src-addrs N                source addresses 127.0.0.1..N    --workers W  load processes\n"
	     " --server-pid PID (repeat)    CPU and memory of the server\n"
	     " --hold S --settle S --drain S   idle seconds / pause after joining / wait for the last "
	     "deliveries\n"
	     " --label L --json --quiet");
	exit(2);
}

/* ------------------------------------------------------------------ helpers */
static void
die(const char *f, ...)
{
	va_list a;
	va_start(a, f);
	fprintf(stderr, "wsload: ");
	vfprintf(stderr, f, a);
	fputc('\n', stderr);
	va_end(a);
	exit(1);
}

static inline u64
now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000ULL + (u64)t.tv_nsec;
}

static u64 rng_s = 88172645463325252ULL;
static inline u64
rng(void)
{
	rng_s ^= rng_s << 13;
	rng_s ^= rng_s >> 7;
	rng_s ^= rng_s << 17;
	return rng_s;
}

/* template expansion; returns malloc'd bytes */
typedef struct {
	char *p;
	size_t n, cap;
} sbuf;
static void
sadd(sbuf *s, const char *d, size_t n)
{
	if (s->n + n + 1 > s->cap) {
		s->cap = (s->n + n + 1) * 2;
		s->p = realloc(s->p, s->cap);
		if (!s->p)
			die("no memory");
	}
	memcpy(s->p + s->n, d, n);
	s->n += n;
	s->p[s->n] = 0;
}

static void
expand(sbuf *s, const char *t, u32 d, u32 g)
{
	char b[32];
	s->n = 0;
	sadd(s, "", 0);
	for (; *t; t++) {
		if (*t == '%' && t[1]) {
			t++;
			int n = -1;
			if (*t == 'd')
				n = sprintf(b, "%u", d);
			else if (*t == 'D')
				n = sprintf(b, "%06u", d);
			else if (*t == 'g')
				n = sprintf(b, "%u", g);
			else if (*t == 'G')
				n = sprintf(b, "%06u", g);
			else if (*t == '%') {
				b[0] = '%';
				n = 1;
			}
			if (n < 0) {
				b[0] = '%';
				b[1] = *t;
				n = 2;
			}
			sadd(s, b, (size_t)n);
		} else if (*t == '\\' && t[1] == 'x' && isxdigit((u8)t[2]) && isxdigit((u8)t[3])) {
			char h[3] = {t[2], t[3], 0};
			b[0] = (char)strtol(h, 0, 16);
			sadd(s, b, 1);
			t += 3;
		} else if (*t == '\\' && t[1] == 'r') {
			sadd(s, "\r", 1);
			t++;
		} else if (*t == '\\' && t[1] == 'n') {
			sadd(s, "\n", 1);
			t++;
		} else if (*t == '\\' && t[1] == '\\') {
			sadd(s, "\\", 1);
			t++;
		} else
			sadd(s, t, 1);
	}
}

/* ------------------------------------------------------------------ state */
enum { P_CONNECT, P_SETTLE, P_PREP, P_RUN, P_PAUSE, P_HOLD, P_END };
enum { C_NONE, C_CONNECTING, C_HANDSHAKE, C_SCRIPT, C_JOINED, C_CLOSED };
typedef struct {
	u32 exp, uniq, dup, mis;
	u8 *bm;
	u32 base, cap;
} track_t;
typedef struct conn {
	int fd;
	u32 id, group;
	u8 state, ispub, step, wantout, fragop;
	u32 inlen, incap, outlen, outoff, outcap, fraglen, fragcap;
	char *in, *out, *frag;
	track_t *tr;
	u64 t0, t_sent;
	char accept[32];
} conn_t;
typedef struct {
	conn_t *c;
	char *t;
	u32 len;
	u32 ts[4], sq[4];
	int nts, nsq;
	u32 seq;
} pub_t;

typedef struct {
	u64 hist[NBUCKET];
	u64 delivered, rx_bytes, frames, other, stale, pings, lost, dup, mis, closed, perr, last_rx, sent,
	    recvs, errs;
	u64 cpu_ns;
	char pad[64];
} wstat_t;
typedef struct {
	volatile int phase;
	u64 joined, opened, failed, expected, ready, done, quit, first_conn, last_join;
	u64 hopen[NBUCKET], hjoin[NBUCKET];
	u64 phase_limit, phase_count, phase_end_ns,
	    phase_start_ns; /* limit: cumulative per room; count: this phase */
} shared_t;

static shared_t *S;
static wstat_t *WS;
static u64 *GD, *GSENT; /* per room: delivered, sent */
static u32 *GS;         /* per room: recipients per message */
static u32 *GJ;         /* per room: joined members */
static int *EVFD;
static int W, ep; /* this worker, its epoll */
static wstat_t *ws;
static conn_t *conns; /* this worker's connections */
static int nconns;
static pub_t *pubs; /* this worker's publishers, room by room */
static int npubs;
static int *gfirst;    /* room -> index of its first publisher in pubs, or -1 */
static int *myg, nmyg; /* rooms this worker publishes to */
static char *rbuf;
static u32 off_seq, off_ts;
static size_t tsml, sqml, eml;
static u64 hist_floor; /* timestamps before this are stale */
static int inflight;

static inline int
bucket(u64 v)
{
	if (v < (1u << SUB_BITS))
		return (int)v;
	int e = 63 - __builtin_clzll(v);
	return ((e - SUB_BITS + 1) << SUB_BITS) + (int)((v >> (e - SUB_BITS)) & ((1u << SUB_BITS) - 1));
}

static double
bucket_mid(int b)
{
	if (b < (1 << SUB_BITS))
		return b;
	int e = (b >> SUB_BITS) + SUB_BITS - 1, m = b & ((1 << SUB_BITS) - 1);
	double lo = ldexp(1.0 + m / (double)(1 << SUB_BITS), e);
	return lo + ldexp(0.5 / (1 << SUB_BITS), e);
}

static double
pct(const u64 *h, double q)
{
	u64 n = 0, a = 0;
	int last = 0;
	for (int i = 0; i < NBUCKET; i++) {
		n += h[i];
		if (h[i])
			last = i;
	}
	if (!n)
		return 0;
	if (q >= 1)
		return bucket_mid(last);
	u64 want = (u64)ceil(q * (double)n);
	if (!want)
		want = 1;
	for (int i = 0; i < NBUCKET; i++)
		if ((a += h[i]) >= want)
			return bucket_mid(i);
	return bucket_mid(last);
}

/* ------------------------------------------------------------------ sending */
static void
ep_mod(conn_t *c, int out)
{
	if (c->wantout == out)
		return;
	c->wantout = (u8)out;
	struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};
	epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}

static void
conn_close(conn_t *c, int bad)
{
	if (c->state == C_CLOSED || c->state == C_NONE)
		return;
	if (bad) {
		if (c->state == C_JOINED)
			ws->closed++;
		else {
			inflight--;
			__atomic_add_fetch(&S->failed, 1, __ATOMIC_RELAXED);
		}
	}
	close(c->fd);
	c->fd = -1;
	c->state = C_CLOSED;
	free(c->in);
	free(c->out);
	free(c->frag);
	c->in = c->out = c->frag = 0;
	c->inlen = c->incap = c->outlen = c->outcap = c->outoff = c->fraglen = c->fragcap = 0;
}

static void
raw_send(conn_t *c, const char *d, size_t n)
{
	if (c->state == C_CLOSED)
		return;
	if (c->outlen == c->outoff) {
		ssize_t k = send(c->fd, d, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (k == (ssize_t)n)
			return;
		if (k < 0) {
			if (errno != EAGAIN) {
				ws->errs++;
				return;
			}
			k = 0;
		}
		d += k;
		n -= (size_t)k;
		c->outoff = c->outlen = 0;
	}
	if (c->outlen + n > c->outcap) {
		c->outcap = (u32)((c->outlen + n) * 2);
		c->out = realloc(c->out, c->outcap);
	}
	memcpy(c->out + c->outlen, d, n);
	c->outlen += (u32)n;
	ep_mod(c, 1);
}

static void
flush_out(conn_t *c)
{
	if (c->outlen > c->outoff) {
		ssize_t k =
		    send(c->fd, c->out + c->outoff, c->outlen - c->outoff, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (k > 0)
			c->outoff += (u32)k;
	}
	if (c->outoff == c->outlen) {
		c->outoff = c->outlen = 0;
		ep_mod(c, 0);
	}
}

static void
ws_send(conn_t *c, int op, const char *d, size_t n)
{
	static char *b;
	static size_t cap;
	if (n + 32 > cap) {
		cap = n * 2 + 4096;
		b = realloc(b, cap);
	}
	size_t h = 2;
	b[0] = (char)(0x80 | op);
	if (n < 126)
		b[1] = (char)(0x80 | n);
	else if (n < 65536) {
		b[1] = (char)(0x80 | 126);
		b[2] = (char)(n >> 8);
		b[3] = (char)n;
		h = 4;
	} else {
		b[1] = (char)(0x80 | 127);
		for (int i = 0; i < 8; i++)
			b[2 + i] = (char)((u64)n >> (56 - 8 * i));
		h = 10;
	}
	u32 m = (u32)rng() | 1;
	u64 mm = (u64)m << 32 | m;
	memcpy(b + h, &m, 4);
	h += 4;
	size_t i = 0;
	for (; i + 8 <= n; i += 8) {
		u64 x;
		memcpy(&x, d + i, 8);
		x ^= mm;
		memcpy(b + h + i, &x, 8);
	}
	for (; i < n; i++)
		b[h + i] = d[i] ^ (char)(m >> (8 * (i & 3)));
	raw_send(c, b, h + n);
}

static void
put_digits(char *p, u64 v, int n)
{
	for (int i = n - 1; i >= 0; i--) {
		p[i] = (char)('0' + v % 10);
		v /= 10;
	}
}

static void
pub_send(pub_t *p, u32 g, int slot, u64 ts)
{
	p->seq++;
	u64 code = 100000000000ULL + (u64)slot * 100000000ULL + p->seq;
	for (int i = 0; i < p->nts; i++)
		put_digits(p->t + p->ts[i], TSBASE + ts, 15);
	for (int i = 0; i < p->nsq; i++)
		put_digits(p->t + p->sq[i], code, 12);
	ws->sent++;
	__atomic_add_fetch(&S->expected, GS[g], __ATOMIC_RELAXED);
	p->c->t_sent = ts;
	ws_send(p->c, O.binary ? 2 : 1, p->t, p->len);
}

static void
try_group(int g)
{ /* closed loop */
	if (S->phase != P_RUN || O.rate > 0)
		return;
	int f = gfirst[g];
	if (f < 0 || !GS[g])
		return;
	for (;;) {
		u64 d = __atomic_load_n(&GD[g], __ATOMIC_RELAXED), s = GSENT[g];
		if (S->phase_limit && s >= S->phase_limit)
			return;
		if (s >= d / GS[g] + (u64)O.window)
			return;
		u64 t = now_ns();
		if (S->phase_end_ns && t >= S->phase_end_ns)
			return;
		int slot = (int)(s % (u64)O.ppg);
		GSENT[g] = s + 1;
		pub_send(&pubs[f + slot], (u32)g, slot, t);
	}
}

/* ------------------------------------------------------------------ joining */
static void
mark_joined(conn_t *c, u64 t)
{
	c->state = C_JOINED;
	inflight--;
	__atomic_add_fetch(&S->hjoin[bucket(t - c->t0)], 1, __ATOMIC_RELAXED);
	if (!c->ispub)
		__atomic_add_fetch(&GJ[c->group], 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&S->joined, 1, __ATOMIC_RELAXED);
	S->last_join = t;
}

static void
run_script(conn_t *c, u64 t)
{
	static sbuf b;
	step_t *st = c->ispub ? O.pstep : O.sstep;
	int n = c->ispub ? O.nps : O.nss;
	while (c->step < n && !st[c->step].is_ack) {
		expand(&b, st[c->step].s, c->id, c->group);
		ws_send(c, O.binary ? 2 : 1, b.p, b.n);
		c->step++;
	}
	if (c->step >= n)
		mark_joined(c, t);
}

static void
send_handshake(conn_t *c)
{
	static sbuf b;
	char req[4096], key[32], cat[96];
	u8 r[16], d[20];
	for (int i = 0; i < 2; i++) {
		u64 x = rng();
		memcpy(r + 8 * i, &x, 8);
	}
	EVP_EncodeBlock((u8 *)key, r, 16);
	int k = snprintf(cat, sizeof cat, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	SHA1((u8 *)cat, (size_t)k, d);
	EVP_EncodeBlock((u8 *)c->accept, d, 20);
	expand(&b, c->ispub && O.pubpath ? O.pubpath : O.path, c->id, c->group);
	int port = c->ispub ? O.pubport[c->id % (u32)O.npubport] : O.port[c->id % (u32)O.nport];
	int n = snprintf(req, sizeof req,
			 "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			 "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n",
			 b.p, O.host, port, key);
	if (O.proto)
		n += snprintf(req + n, sizeof req - (size_t)n, "Sec-WebSocket-Protocol: %s\r\n", O.proto);
	for (int i = 0; i < O.nhdr; i++)
		n += snprintf(req + n, sizeof req - (size_t)n, "%s\r\n", O.hdr[i]);
	n += snprintf(req + n, sizeof req - (size_t)n, "\r\n");
	raw_send(c, req, (size_t)n);
}

static void
start_conn(conn_t *c)
{
	int port = c->ispub ? O.pubport[c->id % (u32)O.npubport] : O.port[c->id % (u32)O.nport];
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	inet_pton(AF_INET, O.host, &a.sin_addr);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket: %s", strerror(errno));
	int one = 1;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	struct linger lg = {1, 0};
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
	if (O.srcs > 0) {
		struct sockaddr_in s = {.sin_family = AF_INET};
		s.sin_addr.s_addr = htonl(0x7f000001u + c->id % (u32)O.srcs);
		setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
		if (bind(c->fd, (struct sockaddr *)&s, sizeof s))
			die("bind: %s", strerror(errno));
	}
	c->t0 = now_ns();
	c->state = C_CONNECTING;
	c->wantout = 1;
	inflight++;
	if (!S->first_conn)
		S->first_conn = c->t0;
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
	epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
	if (connect(c->fd, (struct sockaddr *)&a, sizeof a) && errno != EINPROGRESS)
		conn_close(c, 1);
}

/* ------------------------------------------------------------------ receiving */
static int
track(track_t *t, u32 seq)
{ /* seq starts at 1; returns 1 if it is new */
	if (!t->bm) {
		if (seq == t->exp) {
			t->exp++;
			t->uniq++;
			return 1;
		}
		if (seq < t->exp) {
			t->dup++;
			return 0;
		}
		t->base = t->exp;
		t->cap = 0;
		t->bm = malloc(1);
	}
	if (seq < t->base) {
		t->dup++;
		return 0;
	}
	u32 k = seq - t->base;
	if (k >= t->cap) {
		u32 nc = (k + 4096) & ~7u;
		t->bm = realloc(t->bm, nc / 8);
		memset(t->bm + t->cap / 8, 0, (nc - t->cap) / 8);
		t->cap = nc;
	}
	if (t->bm[k >> 3] >> (k & 7) & 1) {
		t->dup++;
		return 0;
	}
	t->bm[k >> 3] |= (u8)(1 << (k & 7));
	t->uniq++;
	if (seq < t->exp)
		t->mis++;
	else
		t->exp = seq + 1;
	return 1;
}

static inline int
digits(const char *p, const char *e, u64 *v)
{
	while (p < e && (*p == ' ' || *p == '"'))
		p++;
	u64 x = 0;
	int n = 0;
	while (p < e && (u8)(*p - '0') < 10) {
		x = x * 10 + (u64)(*p++ - '0');
		n++;
	}
	*v = x;
	return n;
}

static inline const char *
find(const char *p, size_t n, const char *m, size_t ml, u32 *hint)
{
	if (*hint + ml <= n && !memcmp(p + *hint, m, ml))
		return p + *hint;
	const char *q = memmem(p, n, m, ml);
	if (q)
		*hint = (u32)(q - p);
	return q;
}

static void
deliver(conn_t *c, u32 slot, u32 seq, u64 lat, u64 t)
{
	if (slot >= (u32)O.ppg) {
		ws->perr++;
		return;
	}
	if (!track(&c->tr[slot], seq))
		return;
	ws->delivered++;
	ws->last_rx = t;
	ws->hist[bucket(lat)]++;
	u32 g = c->group;
	u64 d = __atomic_add_fetch(&GD[g], 1, __ATOMIC_RELAXED);
	if (O.rate <= 0 && GS[g] && d % GS[g] == 0) {
		if (gfirst[g] >= 0)
			try_group((int)g);
		else
			for (int w = 0; w < O.workers; w++)
				if (w != W) {
					u64 one = 1;
					if (write(EVFD[w], &one, 8) < 0) {
					}
				}
	}
}

static void
message(conn_t *c, const char *p, size_t n, u64 t)
{
	ws->frames++;
	if (c->state == C_SCRIPT) {
		step_t *st = c->ispub ? O.pstep : O.sstep;
		int ns = c->ispub ? O.nps : O.nss;
		if (c->step < ns && st[c->step].is_ack &&
		    memmem(p, n, st[c->step].s, strlen(st[c->step].s))) {
			c->step++;
			run_script(c, t);
			return;
		}
	} else if (!c->ispub) {
		int any = 0;
		do {
			const char *q = find(p, n, O.seqmark, sqml, &off_seq);
			if (!q)
				break;
			u64 sv, tv;
			const char *r = find(p, n, O.tsmark, tsml, &off_ts);
			if (digits(q + sqml, p + n, &sv) != 12 || !r || digits(r + tsml, p + n, &tv) != 15) {
				if (!any)
					break;
				ws->perr++;
				break;
			}
			any = 1;
			tv -= TSBASE;
			if (tv < hist_floor)
				ws->stale++;
			else
				deliver(c, (u32)(sv / 100000000ULL % 1000), (u32)(sv % 100000000ULL),
					t > tv ? t - tv : 0, t);
			const char *e = q + sqml + 12;
			n -= (size_t)(e - p);
			p = e;
		} while (O.multi && n > sqml + 12);
		if (any)
			return;
		if (O.echomark && memmem(p, n, O.echomark, eml)) {
			deliver(c, 0, c->tr[0].exp, t - c->t_sent, t);
			return;
		}
	}
	for (int i = 0; i < O.non; i++) {
		size_t k = strlen(O.on[i].pfx);
		if (n >= k && !memcmp(p, O.on[i].pfx, k)) {
			static sbuf b;
			expand(&b, O.on[i].reply, c->id, c->group);
			ws_send(c, O.binary ? 2 : 1, b.p, b.n);
			return;
		}
	}
	ws->other++;
}
/* returns bytes used, or -1: closed */
static long
frames(conn_t *c, char *p, size_t n, u64 t)
{
	size_t o = 0;
	while (n - o >= 2) {
		u8 b0 = (u8)p[o], b1 = (u8)p[o + 1];
		size_t h = 2;
		u64 len = b1 & 127;
		if (b1 & 128) {
			ws->perr++;
			conn_close(c, 1);
			return -1;
		} /* a server must not mask */
		if (b0 & 0x70) {
			ws->perr++;
			conn_close(c, 1);
			return -1;
		}
		if (len == 126) {
			if (n - o < 4)
				break;
			len = (u64)(u8)p[o + 2] << 8 | (u8)p[o + 3];
			h = 4;
		} else if (len == 127) {
			if (n - o < 10)
				break;
			len = 0;
			for (int i = 0; i < 8; i++)
				len = len << 8 | (u8)p[o + 2 + i];
			h = 10;
		}
		if (len > RBUF / 2) {
			ws->perr++;
			conn_close(c, 1);
			return -1;
		}
		if (n - o < h + len)
			break;
		char *d = p + o + h;
		int op = b0 & 15, fin = b0 >> 7;
		o += h + len;
		if (op >= 8) {
			if (op == 9) {
				ws->pings++;
				ws_send(c, 10, d, len);
			} else if (op == 8) {
				ws_send(c, 8, d, len < 2 ? 0 : 2);
				conn_close(c, 1);
				return -1;
			}
			continue;
		}
		if (fin && op) {
			message(c, d, len, t);
			if (c->state == C_CLOSED)
				return -1;
			continue;
		}
		if (op) {
			c->fragop = (u8)op;
			c->fraglen = 0;
		}
		if (c->fraglen + len > c->fragcap) {
			c->fragcap = (u32)((c->fraglen + len) * 2);
			c->frag = realloc(c->frag, c->fragcap);
		}
		memcpy(c->frag + c->fraglen, d, len);
		c->fraglen += (u32)len;
		if (fin) {
			message(c, c->frag, c->fraglen, t);
			if (c->state == C_CLOSED)
				return -1;
			c->fraglen = 0;
		}
	}
	return (long)o;
}

static void
readable(conn_t *c)
{
	size_t have = c->inlen;
	if (have) {
		memcpy(rbuf, c->in, have);
		c->inlen = 0;
	}
	ssize_t k = recv(c->fd, rbuf + have, RBUF - have, MSG_DONTWAIT);
	if (k <= 0) {
		if (k < 0 && errno == EAGAIN) {
			c->inlen = (u32)have;
			return;
		}
		conn_close(c, 1);
		return;
	}
	u64 t = now_ns();
	ws->recvs++;
	ws->rx_bytes += (u64)k;
	size_t n = have + (size_t)k;
	long o = 0;
	if (c->state == C_HANDSHAKE) {
		char *e = memmem(rbuf, n, "\r\n\r\n", 4);
		if (e) {
			*e = 0;
			char *a = strcasestr(rbuf, "\r\nSec-WebSocket-Accept:");
			if (strncmp(rbuf, "HTTP/1.1 101", 12) || !a || !strstr(a, c->accept)) {
				static int said;
				if (!said++)
					fprintf(stderr, "wsload: bad handshake: %.300s\n", rbuf);
				ws->perr++;
				conn_close(c, 1);
				return;
			}
			o = e + 4 - rbuf;
			__atomic_add_fetch(&S->hopen[bucket(t - c->t0)], 1, __ATOMIC_RELAXED);
			__atomic_add_fetch(&S->opened, 1, __ATOMIC_RELAXED);
			c->state = C_SCRIPT;
			c->step = 0;
			run_script(c, t);
		}
	}
	if (c->state >= C_SCRIPT && c->state != C_CLOSED) {
		long u = frames(c, rbuf + o, n - (size_t)o, t);
		if (u < 0)
			return;
		o += u;
	}
	size_t left = n - (size_t)o;
	if (left) {
		if (left > c->incap) {
			c->incap = (u32)(left < 512 ? 512 : left * 2);
			c->in = realloc(c->in, c->incap);
		}
		memcpy(c->in, rbuf + o, left);
	} else if (c->incap) {
		free(c->in);
		c->in = 0;
		c->incap = 0;
	}
	c->inlen = (u32)left;
}

static int
poll_once(u64 timeout)
{
	struct epoll_event ev[256];
	struct timespec ts = {(time_t)(timeout / 1000000000ULL), (long)(timeout % 1000000000ULL)};
	int n = epoll_pwait2(ep, ev, 256, &ts, 0);
	for (int i = 0; i < n; i++) {
		conn_t *c = ev[i].data.ptr;
		if (!c) {
			u64 x;
			if (read(EVFD[W], &x, 8) < 0) {
			}
			for (int k = 0; k < nmyg; k++)
				try_group(myg[k]);
			continue;
		}
		if (c->state == C_CLOSED)
			continue;
		if (c->state == C_CONNECTING) {
			int err = 0;
			socklen_t l = sizeof err;
			getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &l);
			if (err) {
				static int said;
				if (!said++)
					fprintf(stderr, "wsload: connect: %s\n", strerror(err));
				conn_close(c, 1);
				continue;
			}
			if (!(ev[i].events & EPOLLOUT))
				continue;
			c->state = C_HANDSHAKE;
			ep_mod(c, 0);
			send_handshake(c);
			continue;
		}
		if (ev[i].events & EPOLLOUT)
			flush_out(c);
		if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			readable(c);
	}
	return n;
}

/* ------------------------------------------------------------------ server samples */
typedef struct {
	u64 t;
	double cpu, sched;
	long rss, pss;
	long tcpmem_kb, slab_kb, sockets;
} samp_t;
static long
field(const char *path, const char *key)
{
	FILE *f = fopen(path, "r");
	char l[512];
	long v = 0;
	if (!f)
		return 0;
	while (fgets(l, sizeof l, f)) {
		char *p = strstr(l, key);
		if (p) {
			v = strtol(p + strlen(key), 0, 10);
			break;
		}
	}
	fclose(f);
	return v;
}

static samp_t
sample(int mem)
{
	samp_t s = {0};
	char p[300], l[2048];
	for (int i = 0; i < O.npid; i++) {
		snprintf(p, sizeof p, "/proc/%d/stat", O.pid[i]);
		FILE *f = fopen(p, "r");
		if (f) {
			if (fgets(l, sizeof l, f)) {
				char *q = strrchr(l, ')');
				u64 u = 0, k = 0;
				if (q && sscanf(q + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
						&u, &k) == 2)
					s.cpu += (double)(u + k) / (double)sysconf(_SC_CLK_TCK);
			}
			fclose(f);
		}
		snprintf(p, sizeof p, "/proc/%d/task", O.pid[i]);
		DIR *d = opendir(p);
		if (d) {
			for (struct dirent *e; (e = readdir(d));) {
				if (e->d_name[0] == '.')
					continue;
				char q[600];
				snprintf(q, sizeof q, "/proc/%d/task/%s/schedstat", O.pid[i], e->d_name);
				FILE *g = fopen(q, "r");
				u64 ns;
				if (g) {
					if (fscanf(g, "%lu", &ns) == 1)
						s.sched += (double)ns / 1e9;
					fclose(g);
				}
			}
			closedir(d);
		}
		if (mem) {
			snprintf(p, sizeof p, "/proc/%d/status", O.pid[i]);
			s.rss += field(p, "VmRSS:");
			snprintf(p, sizeof p, "/proc/%d/smaps_rollup", O.pid[i]);
			s.pss += field(p, "Pss:");
		}
	}
	if (mem) {
		FILE *f = fopen("/proc/net/sockstat", "r");
		if (f) {
			while (fgets(l, sizeof l, f)) {
				char *q = strstr(l, "TCP:");
				if (q != l)
					continue;
				q = strstr(l, "mem ");
				if (q)
					s.tcpmem_kb = strtol(q + 4, 0, 10) * 4;
				q = strstr(l, "inuse ");
				if (q)
					s.sockets = strtol(q + 6, 0, 10);
			}
			fclose(f);
		}
		s.slab_kb = field("/proc/meminfo", "Slab:");
	}
	s.t = now_ns();
	return s;
}

static double
self_cpu(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ------------------------------------------------------------------ worker */
static u64
total_delivered(void)
{
	u64 d = 0;
	for (int i = 0; i < O.workers; i++)
		d += __atomic_load_n(&WS[i].delivered, __ATOMIC_RELAXED);
	return d;
}

static int
group_of(int i)
{
	return (int)((long)i * O.groups / O.subs);
}

static int
worker_of(int i)
{
	return (int)((long)i * O.workers / O.subs);
}

static void
build(void)
{
	int sepn = O.member ? 0 : (O.mode == M_FANOUT ? O.groups * O.ppg : 0);
	int first = -1, n = 0;
	for (int i = 0; i < O.subs; i++)
		if (worker_of(i) == W) {
			if (first < 0)
				first = i;
			n++;
		}
	nconns = n + (W == 0 ? sepn : 0);
	conns = calloc((size_t)nconns + 1, sizeof *conns);
	track_t *tr = calloc((size_t)n * (size_t)O.ppg + 1, sizeof *tr);
	for (int i = 0; i < n * O.ppg; i++)
		tr[i].exp = 1;
	gfirst = malloc(sizeof(int) * (size_t)O.groups);
	for (int g = 0; g < O.groups; g++)
		gfirst[g] = -1;
	pubs = calloc((size_t)O.groups * (size_t)O.ppg + 1, sizeof *pubs);
	myg = malloc(sizeof(int) * (size_t)O.groups);
	for (int i = 0; i < n; i++) {
		conn_t *c = &conns[i];
		c->id = (u32)(first + i);
		c->group = (u32)group_of(first + i);
		c->tr = tr + (size_t)i * (size_t)O.ppg;
		if (O.member) {
			int g = (int)c->group, k = 0;
			for (int j = first + i - 1; j >= 0 && group_of(j) == g && k < O.ppg; j--)
				k++;
			if (k < O.ppg) {
				if (k == 0) {
					gfirst[g] = npubs;
					myg[nmyg++] = g;
				} else if (gfirst[g] < 0)
					die("a room's publishers are in two workers: use fewer workers");
				pubs[npubs++].c = c;
			}
		}
	}
	if (W == 0)
		for (int i = 0; i < sepn; i++) {
			conn_t *c = &conns[n + i];
			c->id = (u32)i;
			c->group = (u32)(i / O.ppg);
			c->ispub = 1;
			if (i % O.ppg == 0) {
				gfirst[c->group] = npubs;
				myg[nmyg++] = (int)c->group;
			}
			pubs[npubs++].c = c;
		}
	if (!O.publish)
		return;
	for (int i = 0; i < npubs; i++) {
		sbuf b = {0}, o = {0}, q = {0};
		pub_t *p = &pubs[i];
		expand(&b, O.publish, p->c->id, p->c->group);
		for (char *s = b.p; s < b.p + b.n;) {
			if (!strncmp(s, "@PAYLOAD@", 9)) {
				int padn = O.size - 47;
				if (padn < 0)
					padn = 0;
				static const char head[] = "{\"t\":@TS@,\"s\":@SEQ@,\"pad\":\"";
				sadd(&q, head, sizeof head - 1);
				for (int k = 0; k < padn; k++)
					sadd(&q, "x", 1);
				sadd(&q, "\"}", 2);
				s += 9;
			} else
				sadd(&q, s++, 1);
		}
		for (char *s = q.p; s < q.p + q.n;) {
			if (!strncmp(s, "@TS@", 4)) {
				if (p->nts < 4)
					p->ts[p->nts++] = (u32)o.n;
				sadd(&o, "000000000000000", 15);
				s += 4;
			} else if (!strncmp(s, "@SEQ@", 5)) {
				if (p->nsq < 4)
					p->sq[p->nsq++] = (u32)o.n;
				sadd(&o, "000000000000", 12);
				s += 5;
			} else if (!strncmp(s, "@PAD@", 5)) {
				for (int k = 0; k < O.pad; k++)
					sadd(&o, "x", 1);
				s += 5;
			} else
				sadd(&o, s++, 1);
		}
		p->t = o.p;
		p->len = (u32)o.n;
		free(b.p);
		free(q.p);
	}
}

static void
connect_all(void)
{
	u64 t0 = now_ns();
	int next = 0;
	inflight = 0;
	double crate = O.conn_rate / O.workers;
	int conc = O.conc / O.workers;
	if (conc < 1)
		conc = 1;
	while (next < nconns || inflight > 0) {
		u64 t = now_ns();
		if ((double)(t - t0) / 1e9 > O.conn_timeout) {
			fprintf(stderr, "wsload: connect timeout, %d not done\n", nconns - next + inflight);
			break;
		}
		while (next < nconns && inflight < conc &&
		       (crate <= 0 || next < crate * (double)(t - t0) / 1e9))
			start_conn(&conns[next++]);
		poll_once(crate > 0 ? 1000000 : 20000000);
	}
}

static void
close_all(void)
{
	for (int i = 0; i < nconns; i++)
		if (conns[i].state == C_JOINED)
			ws_send(&conns[i], 8, "\x03\xe8", 2);
	u64 t = now_ns();
	u64 c0 = ws->closed, e0 = ws->errs;
	while (now_ns() - t < 300000000ULL)
		poll_once(20000000);
	for (int i = 0; i < nconns; i++)
		conn_close(&conns[i], 0);
	ws->closed = c0;
	ws->errs = e0; /* closing is ours now */
}

static void
heartbeat(u64 t)
{
	static u64 next;
	static int cur;
	static sbuf b;
	if (!O.hb || !nconns)
		return;
	u64 step = (u64)(O.hb_s * 1e9 / nconns);
	if (!next)
		next = t + step;
	while (next <= t) {
		conn_t *c = &conns[cur++ % nconns];
		next += step;
		if (c->state == C_JOINED) {
			expand(&b, O.hb, c->id, c->group);
			ws_send(c, O.binary ? 2 : 1, b.p, b.n);
		}
	}
}
/* serve until the phase is no longer ph; in worker 0, fin() ends it */
static double cpu_mark;
static void
serve(int ph, int (*fin)(void), int next)
{
	u64 k = 0;
	int started = 0;
	double r = O.rate * (double)npubs / ((double)O.groups * O.ppg);
	cpu_mark = self_cpu();
	while (S->phase == ph) {
		u64 to = 5000000, t = now_ns();
		if (ph == P_RUN) {
			if (!started) {
				started = 1;
				if (O.rate <= 0)
					for (int i = 0; i < nmyg; i++)
						try_group(myg[i]);
			}
			if (O.rate > 0 && npubs) {
				int burst = 64;
				for (;;) {
					u64 due = S->phase_start_ns + (u64)((double)k * 1e9 / r);
					t = now_ns();
					if (due > t) {
						if (due - t < to)
							to = due - t;
						break;
					}
					if ((S->phase_count && k >= S->phase_count * (u64)nmyg) ||
					    (S->phase_end_ns && due >= S->phase_end_ns))
						break;
					if (!burst--) {
						to = 0;
						break;
					}
					int i = (int)(k % (u64)npubs);
					u32 g = pubs[i].c->group;
					GSENT[g]++;
					pub_send(&pubs[i], g, i - gfirst[g], O.ts_actual ? t : due);
					k++;
				}
			}
		}
		heartbeat(t);
		poll_once(to);
		if (fin && fin())
			S->phase = next;
	}
}

static int
all_joined(void)
{
	return __atomic_load_n(&S->ready, __ATOMIC_RELAXED) == (u64)O.workers;
}

static u64 prog_t, prog_d;
static int
run_done(void)
{
	u64 t = now_ns(), d = total_delivered();
	if (d != prog_d) {
		prog_d = d;
		prog_t = t;
	}
	int sent_all = 1;
	if (S->phase_end_ns)
		sent_all = t >= S->phase_end_ns;
	else if (d < __atomic_load_n(&S->expected, __ATOMIC_RELAXED))
		sent_all = 0;
	else
		for (int g = 0; g < O.groups; g++)
			if (GS[g] && GSENT[g] < S->phase_limit) {
				sent_all = 0;
				break;
			}
	if (sent_all && d >= __atomic_load_n(&S->expected, __ATOMIC_RELAXED))
		return 1;
	if ((!S->phase_end_ns || t > S->phase_end_ns) && t - prog_t > (u64)(O.drain * 1e9))
		return 1;
	return 0;
}

static void
wake_all(void)
{
	for (int i = 1; i < O.workers; i++) {
		u64 one = 1;
		if (write(EVFD[i], &one, 8) < 0) {
		}
	}
}

static u64 hold_until;
static int
hold_done(void)
{
	return now_ns() >= hold_until;
}

static const char *
ports(const char *s, int *v, int *n)
{
	*n = 0;
	for (char *e; *s; s = *e ? e + 1 : e) {
		v[(*n)++] = (int)strtol(s, &e, 10);
		if (*n == MAXPORT)
			break;
	}
	return s;
}

int
main(int argc, char **argv)
{
	int have_member = 0, npub_opt = 1, ngrp_set = 0;
	for (int i = 1; i < argc; i++) {
		char *a = argv[i];
#define IS(x) (!strcmp(a, x))
#define ARG (i + 1 < argc ? argv[++i] : (usage(), ""))
		if (IS("--host"))
			O.host = ARG;
		else if (IS("--port"))
			ports(ARG, O.port, &O.nport);
		else if (IS("--pub-port"))
			ports(ARG, O.pubport, &O.npubport);
		else if (IS("--path"))
			O.path = ARG;
		else if (IS("--pub-path"))
			O.pubpath = ARG;
		else if (IS("--subprotocol"))
			O.proto = ARG;
		else if (IS("--header")) {
			char *v = ARG;
			if (O.nhdr < 16)
				O.hdr[O.nhdr++] = v;
		} else if (IS("--subs"))
			O.subs = atoi(ARG);
		else if (IS("--groups")) {
			O.groups = atoi(ARG);
			ngrp_set = 1;
		} else if (IS("--pubs"))
			npub_opt = atoi(ARG);
		else if (IS("--member")) {
			have_member = 1;
			if (i + 1 < argc && isdigit((u8)argv[i + 1][0]))
				npub_opt = atoi(argv[++i]);
		} else if (IS("--no-self"))
			O.noself = 1;
		else if (IS("--send") || IS("--ack")) {
			int k = IS("--ack");
			char *v = ARG;
			if (O.nss < MAXSTEP)
				O.sstep[O.nss++] = (step_t){k, v};
		} else if (IS("--pub-send") || IS("--pub-ack")) {
			int k = IS("--pub-ack");
			char *v = ARG;
			if (O.nps < MAXSTEP)
				O.pstep[O.nps++] = (step_t){k, v};
		} else if (IS("--publish"))
			O.publish = ARG;
		else if (IS("--binary"))
			O.binary = 1;
		else if (IS("--multi"))
			O.multi = 1;
		else if (IS("--ts-mark"))
			O.tsmark = ARG;
		else if (IS("--seq-mark"))
			O.seqmark = ARG;
		else if (IS("--echo-mark"))
			O.echomark = ARG;
		else if (IS("--on")) {
			char *p = ARG, *r = ARG;
			if (O.non < MAXON) {
				O.on[O.non].pfx = p;
				O.on[O.non++].reply = r;
			}
		} else if (IS("--heartbeat")) {
			O.hb_s = atof(ARG);
			O.hb = ARG;
		} else if (IS("--mode")) {
			char *m = ARG;
			O.mode = !strcmp(m, "fanout")    ? M_FANOUT
				 : !strcmp(m, "echo")    ? M_ECHO
				 : !strcmp(m, "connect") ? M_CONNECT
				 : !strcmp(m, "idle")    ? M_IDLE
							 : (usage(), 0);
		} else if (IS("--rate"))
			O.rate = atof(ARG);
		else if (IS("--window"))
			O.window = atoi(ARG);
		else if (IS("--count"))
			O.count = atol(ARG);
		else if (IS("--duration"))
			O.duration = atof(ARG);
		else if (IS("--warmup"))
			O.warmup = atol(ARG);
		else if (IS("--size"))
			O.size = atoi(ARG);
		else if (IS("--pad"))
			O.pad = atoi(ARG);
		else if (IS("--concurrency"))
			O.conc = atoi(ARG);
		else if (IS("--conn-rate"))
			O.conn_rate = atof(ARG);
		else if (IS("--conn-timeout"))
			O.conn_timeout = atof(ARG);
		else if (IS("--cycles"))
			O.cycles = atoi(ARG);
		else if (IS("--src-addrs"))
			O.srcs = atoi(ARG);
		else if (IS("--workers"))
			O.workers = atoi(ARG);
		else if (IS("--server-pid")) {
			int v = atoi(ARG);
			if (O.npid < MAXPID)
				O.pid[O.npid++] = v;
		} else if (IS("--hold"))
			O.hold = atof(ARG);
		else if (IS("--settle"))
			O.settle = atof(ARG);
		else if (IS("--drain"))
			O.drain = atof(ARG);
		else if (IS("--label"))
			O.label = ARG;
		else if (IS("--json"))
			O.json = 1;
		else if (IS("--quiet"))
			O.quiet = 1;
		else if (IS("--ts-actual"))
			O.ts_actual = 1;
		else {
			fprintf(stderr, "unknown option %s\n", a);
			usage();
		}
	}
	if (!O.nport)
		usage();
	if (!O.npubport) {
		memcpy(O.pubport, O.port, sizeof O.port);
		O.npubport = O.nport;
	}
	if (O.mode == M_ECHO) {
		O.groups = O.subs;
		have_member = 1;
		npub_opt = 1;
	}
	if (O.mode == M_CONNECT || O.mode == M_IDLE) {
		if (!ngrp_set)
			O.groups = 1;
		have_member = 0;
		npub_opt = 1;
	}
	O.member = have_member;
	O.ppg = npub_opt < 1 ? 1 : npub_opt;
	if (O.groups < 1 || O.groups > O.subs || O.ppg > 999 || O.workers < 1 || O.workers > MAXW ||
	    O.workers > O.subs)
		usage();
	if ((O.mode == M_FANOUT || O.mode == M_ECHO) && !O.publish)
		die("--publish is needed");
	if (!O.count && O.duration <= 0)
		O.count = 100;
	tsml = strlen(O.tsmark);
	sqml = strlen(O.seqmark);
	eml = O.echomark ? strlen(O.echomark) : 0;
	signal(SIGPIPE, SIG_IGN);
	struct rlimit rl;
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	if ((u64)O.subs / (u64)O.workers + 64 > rl.rlim_max)
		die("%d connections need --workers %d (open files limit %lu)", O.subs,
		    O.subs / (int)(rl.rlim_max - 64) + 1, (unsigned long)rl.rlim_max);

	size_t gsz = (size_t)O.groups * (8 + 8 + 4 + 4) + 4096;
	char *m = mmap(0, sizeof *S + sizeof *WS * (size_t)O.workers + gsz, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		die("mmap");
	S = (void *)m;
	m += sizeof *S;
	WS = (void *)m;
	m += sizeof *WS * (size_t)O.workers;
	GD = (void *)m;
	m += 8 * (size_t)O.groups;
	GSENT = (void *)m;
	m += 8 * (size_t)O.groups;
	GS = (void *)m;
	m += 4 * (size_t)O.groups;
	GJ = (void *)m;
	EVFD = malloc(sizeof(int) * (size_t)O.workers);
	for (int i = 0; i < O.workers; i++)
		EVFD[i] = eventfd(0, EFD_NONBLOCK);
	hist_floor = now_ns();
	samp_t s0 = sample(1);
	for (int i = 1; i < O.workers; i++) {
		pid_t p = fork();
		if (p < 0)
			die("fork");
		if (!p) {
			W = i;
			break;
		}
	}
	rng_s ^= now_ns() * 2654435761u + (u64)getpid();
	ws = &WS[W];
	ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ee = {.events = EPOLLIN, .data.ptr = 0};
	epoll_ctl(ep, EPOLL_CTL_ADD, EVFD[W], &ee);
	rbuf = malloc(RBUF + 8);
	build();

	/* phase 0: connect and join */
	double conn_best = 0, conn_sum = 0;
	for (int cy = 0; cy < O.cycles; cy++) {
		u64 t0 = now_ns();
		connect_all();
		double el = (double)(now_ns() - t0) / 1e9, r = nconns / el;
		conn_sum += el;
		if (r > conn_best)
			conn_best = r;
		if (cy + 1 < O.cycles) {
			close_all();
			for (int i = 0; i < nconns; i++) {
				conn_t *c = &conns[i];
				c->state = C_NONE;
				c->step = 0;
			}
		}
	}
	samp_t sj0 = {0};
	if (W == 0 && O.workers == 1)
		sj0 = sample(0);
	__atomic_add_fetch(&S->ready, 1, __ATOMIC_RELAXED);
	samp_t s1 = {0}, s2 = {0}, s3 = {0};
	double c2 = 0, c3 = 0;
	u64 d2 = 0, run_t0 = 0, x2 = 0, sent2 = 0, recvs2 = 0;
	int hold_mode = O.mode == M_CONNECT || O.mode == M_IDLE;
	if (W) {
		for (int ph; (ph = S->phase) != P_END;) {
			serve(ph, 0, 0);
			if (ph == P_RUN || ph == P_HOLD)
				ws->cpu_ns = (u64)((self_cpu() - cpu_mark) * 1e9);
		}
	} else {
		serve(P_CONNECT, all_joined, P_SETTLE);
		if (O.workers > 1)
			sj0 = sample(0);
		for (int g = 0; g < O.groups; g++)
			GS[g] = GJ[g] - (O.member && O.noself && GJ[g] ? 1 : 0);
		hold_until = now_ns() + (u64)(O.settle * 1e9);
		serve(P_SETTLE, hold_done, P_PREP);
		s1 = sample(1);
		if (!O.quiet)
			fprintf(stderr, "wsload: joined %lu, failed %lu\n", (unsigned long)S->joined,
				(unsigned long)S->failed);
		if (O.warmup > 0 && !hold_mode) {
			S->phase_limit = S->phase_count = (u64)O.warmup;
			S->phase_end_ns = 0;
			prog_t = S->phase_start_ns = now_ns();
			S->phase = P_RUN;
			wake_all();
			serve(P_RUN, run_done, P_PAUSE);
			hold_until = now_ns() + 200000000ULL;
			serve(P_PAUSE, hold_done, P_PREP);
		}
		for (int i = 0; i < O.workers; i++) {
			memset(WS[i].hist, 0, sizeof WS[i].hist);
			sent2 += WS[i].sent;
			recvs2 += WS[i].recvs;
		}
		d2 = total_delivered();
		x2 = S->expected;
		S->phase_count = O.duration > 0 ? 0 : (u64)O.count;
		S->phase_limit = O.duration > 0 ? 0 : (u64)(O.warmup + O.count);
		s2 = sample(0);
		c2 = self_cpu();
		prog_t = run_t0 = S->phase_start_ns = now_ns();
		S->phase_end_ns = O.duration > 0 ? run_t0 + (u64)(O.duration * 1e9) : 0;
		hold_until = run_t0 + (u64)(O.hold * 1e9);
		S->phase = hold_mode ? P_HOLD : P_RUN;
		wake_all();
		serve(S->phase, hold_mode ? hold_done : run_done, P_END);
		s3 = sample(1);
		c3 = self_cpu();
		ws->cpu_ns = (u64)((c3 - c2) * 1e9);
	}
	/* tally */
	for (int i = 0; i < nconns; i++) {
		conn_t *c = &conns[i];
		if (c->ispub || !c->tr || hold_mode)
			continue;
		u64 per = GSENT[c->group] / (u64)O.ppg, rem = GSENT[c->group] % (u64)O.ppg;
		int self = -1;
		if (O.noself && gfirst[c->group] >= 0)
			for (int k = 0; k < O.ppg; k++)
				if (pubs[gfirst[c->group] + k].c == c)
					self = k;
		for (int k = 0; k < O.ppg; k++) {
			u64 want = per + ((u64)k < rem ? 1 : 0);
			if (k == self)
				want = 0;
			if (want > c->tr[k].uniq)
				ws->lost += want - c->tr[k].uniq;
			ws->dup += c->tr[k].dup;
			ws->mis += c->tr[k].mis;
		}
	}
	close_all();
	__atomic_add_fetch(&S->done, 1, __ATOMIC_SEQ_CST);
	if (W)
		_exit(0);
	for (int i = 1; i < O.workers; i++)
		wait(0);

	static u64 h[NBUCKET];
	wstat_t T = {0};
	for (int i = 0; i < O.workers; i++) {
		wstat_t *w = &WS[i];
		for (int b = 0; b < NBUCKET; b++)
			h[b] += w->hist[b];
		T.delivered += w->delivered;
		T.rx_bytes += w->rx_bytes;
		T.frames += w->frames;
		T.other += w->other;
		T.stale += w->stale;
		T.pings += w->pings;
		T.lost += w->lost;
		T.dup += w->dup;
		T.mis += w->mis;
		T.closed += w->closed;
		T.perr += w->perr;
		T.sent += w->sent;
		T.recvs += w->recvs;
		T.errs += w->errs;
		T.cpu_ns += w->cpu_ns;
		if (w->last_rx > T.last_rx)
			T.last_rx = w->last_rx;
	}
	u64 del = T.delivered - d2, exp = S->expected - x2;
	double wall = T.last_rx > run_t0 ? (double)(T.last_rx - run_t0) / 1e9 : 0;
	if (hold_mode)
		wall = (double)(s3.t - run_t0) / 1e9;
	double clic = (double)T.cpu_ns / 1e9;
	double sc = s3.cpu - s2.cpu, ss = s3.sched - s2.sched, cost = ss > 0 ? ss : sc;
	double perM = del ? cost / (double)del * 1e6 : 0;
	u64 nj = S->joined;
	double conn_el = (double)(S->last_join - S->first_conn) / 1e9;
	if (O.cycles > 1)
		conn_el = conn_sum / O.cycles;
	double cps = conn_el > 0 ? (O.cycles > 1 ? (double)nconns : (double)nj) / conn_el : 0;
	u64 njall = O.cycles > 1 ? nj : nj;
	double bpc = nj ? (double)(s1.rss - s0.rss) * 1024.0 / (double)(O.cycles > 1 ? (u64)nconns : nj) : 0;
	double kpc = nj ? (double)((s1.slab_kb - s0.slab_kb) + (s1.tcpmem_kb - s0.tcpmem_kb)) * 1024.0 /
			      (double)(O.cycles > 1 ? (u64)nconns : nj)
			: 0;
	double bpr = nj ? (double)(s3.rss - s0.rss) * 1024.0 / (double)nj : 0;
	double jc =
	    (sj0.sched > 0 ? sj0.sched - s0.sched : sj0.cpu - s0.cpu) / (njall ? (double)njall : 1) * 1e6;
	double us = 1e-3;
	printf("%s%sjoined %lu failed %lu closed %lu | %.0f joins/s (best %.0f), open p50 %.0f p99 %.0f us, "
	       "join p50 %.0f p99 %.0f us, server %.1f CPU-us per join\n",
	       O.label, *O.label ? ": " : "", (unsigned long)nj, (unsigned long)S->failed,
	       (unsigned long)T.closed, cps, O.workers == 1 ? conn_best : cps, pct(S->hopen, .5) * us,
	       pct(S->hopen, .99) * us, pct(S->hjoin, .5) * us, pct(S->hjoin, .99) * us, jc);
	printf("  server RSS KiB before %ld joined %ld after %ld -> %.0f B/conn joined, %.0f B/conn after "
	       "run (PSS joined %ld); kernel slab+tcp delta %.0f B/conn (both ends)\n",
	       s0.rss, s1.rss, s3.rss, bpc, bpr, s1.pss, kpc);
	if (hold_mode)
		printf("  idle %.1f s: server CPU %.3f s, pings %lu\n", wall, cost, (unsigned long)T.pings);
	else {
		printf("  sent %lu expected %lu delivered %lu lost %lu dup %lu misordered %lu stale %lu "
		       "other %lu proto-errors %lu\n",
		       (unsigned long)(T.sent - sent2), (unsigned long)exp, (unsigned long)del,
		       (unsigned long)T.lost, (unsigned long)T.dup, (unsigned long)T.mis,
		       (unsigned long)T.stale, (unsigned long)T.other, (unsigned long)(T.perr + T.errs));
		printf("  wall %.3f s, %.0f deliveries/s, server CPU %.3f s (stat %.2f) = %.3f CPU-s per "
		       "million, client CPU %.3f s (%.3f per million), deliveries per client recv %.2f\n",
		       wall, wall > 0 ? (double)del / wall : 0, cost, sc, perM, clic,
		       del ? clic / (double)del * 1e6 : 0,
		       T.recvs > recvs2 ? (double)del / (double)(T.recvs - recvs2) : 0);
		printf("  latency us p50 %.0f p90 %.0f p99 %.0f p99.9 %.0f max %.0f\n", pct(h, .5) * us,
		       pct(h, .9) * us, pct(h, .99) * us, pct(h, .999) * us, pct(h, 1) * us);
	}
	if (O.json)
		printf("{\"label\":\"%s\",\"subs\":%d,\"groups\":%d,\"pubs_per_group\":%d,\"size\":%d,"
		       "\"window\":%d,\"rate\":%.1f,\"joined\":%lu,\"failed\":%lu,\"closed\":%lu,"
		       "\"joins_per_s\":%.0f,\"open_p50_us\":%.0f,\"open_p99_us\":%.0f,\"join_p50_us\":%.0f,"
		       "\"join_p99_us\":%.0f,\"srv_cpu_us_per_join\":%.2f,"
		       "\"rss_before_kb\":%ld,\"rss_joined_kb\":%ld,\"rss_after_kb\":%ld,\"bytes_per_conn\":%"
		       ".0f,\"bytes_per_conn_after\":%.0f,\"kernel_bytes_per_conn\":%.0f,"
		       "\"sent\":%lu,\"expected\":%lu,\"delivered\":%lu,\"lost\":%lu,\"dup\":%lu,"
		       "\"misordered\":%lu,\"stale\":%lu,\"other\":%lu,\"errors\":%lu,"
		       "\"wall_s\":%.4f,\"deliveries_per_s\":%.0f,\"srv_cpu_s\":%.4f,\"srv_stat_s\":%.2f,"
		       "\"srv_cpu_s_per_M\":%.4f,\"cli_cpu_s\":%.4f,\"cli_cpu_s_per_M\":%.4f,"
		       "\"lat_p50_us\":%.1f,\"lat_p90_us\":%.1f,\"lat_p99_us\":%.1f,\"lat_p999_us\":%.1f,"
		       "\"lat_max_us\":%.1f}\n",
		       O.label, O.subs, O.groups, O.ppg, O.size, O.window, O.rate, (unsigned long)nj,
		       (unsigned long)S->failed, (unsigned long)T.closed, cps, pct(S->hopen, .5) * us,
		       pct(S->hopen, .99) * us, pct(S->hjoin, .5) * us, pct(S->hjoin, .99) * us, jc, s0.rss,
		       s1.rss, s3.rss, bpc, bpr, kpc, (unsigned long)(T.sent - sent2), (unsigned long)exp,
		       (unsigned long)del, (unsigned long)T.lost, (unsigned long)T.dup, (unsigned long)T.mis,
		       (unsigned long)T.stale, (unsigned long)T.other, (unsigned long)(T.perr + T.errs), wall,
		       wall > 0 ? (double)del / wall : 0, cost, sc, perM, clic,
		       del ? clic / (double)del * 1e6 : 0, pct(h, .5) * us, pct(h, .9) * us, pct(h, .99) * us,
		       pct(h, .999) * us, pct(h, 1) * us);
	return (S->failed || (!hold_mode && (T.lost || T.dup || T.mis))) ? 1 : 0;
}
