/*
 * TLS streams against OpenSSL's own client, both driven by hand over a socketpair; the keys are made here.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/frame.h"
#include "net/tls.h"

Suite *tls_suite(void);

#define TURNS	20000		/* bound of every loop here */
#define NOT_YET	1

/* One connection: our stream, and the client's end of it. */
struct pair {
	struct stream *s;
	SSL	      *client;		/* NULL once it is gone */
	int	       fd;		/* the client's; -1 once it is gone */
	struct buf     got;		/* by the server */
	int	       end;		/* what on_end() said; NOT_YET */
};

static char dir[] = "/tmp/roost-tls-XXXXXX";
static char cert_file[64], key_file[64], other_key_file[64], alien_key_file[64], big_cert_file[64], locked_key_file[64];
static struct loop *loop;
static struct tls_context *context;
static struct pair pair;

static EVP_PKEY *
write_key(const char *file, EVP_PKEY *key, const EVP_CIPHER *cipher)
{
	mode_t	  mask = umask(077);
	FILE	 *f = fopen(file, "w");

	umask(mask);
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(PEM_write_PrivateKey(f, key, cipher, NULL, 0, NULL, cipher != NULL ? "secret" : NULL), 1);
	fclose(f);
	return key;
}

/* As many alternative names as the certificate is to be big. */
static void
add_names(X509 *x, unsigned n)
{
	struct buf	names = { 0 };
	X509_EXTENSION *ext;

	for (unsigned i = 0; i < n; i++)
		buf_addf(&names, "%sDNS:a-rather-long-name-of-host-number-%04u.example.org", i > 0 ? "," : "", i);
	buf_add_char(&names, '\0');
	ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names.p);
	ck_assert_ptr_nonnull(ext);
	X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
	buf_done(&names);
}

static void
write_cert(const char *file, EVP_PKEY *key, unsigned names)
{
	X509 *x = X509_new();
	FILE *f = fopen(file, "w");

	ck_assert_ptr_nonnull(f);
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	if (names > 0)
		add_names(x, names);
	ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
	ck_assert_int_eq(PEM_write_X509(f, x), 1);
	fclose(f);
	X509_free(x);
}

static void
name_file(char *out, const char *name)
{
	snprintf(out, 64, "%s/%s", dir, name);
}

/* Once for all tests: their processes see the files. */
static void
make_files(void)
{
	EVP_PKEY *key;

	memcpy(strrchr(dir, '-'), "-XXXXXX", sizeof("-XXXXXX"));
	ck_assert_ptr_nonnull(mkdtemp(dir));
	name_file(cert_file, "cert.pem");
	name_file(key_file, "key.pem");
	name_file(other_key_file, "other.pem");
	name_file(alien_key_file, "alien.pem");
	name_file(big_cert_file, "big.pem");
	name_file(locked_key_file, "locked.pem");
	key = write_key(key_file, EVP_EC_gen("P-256"), NULL);
	write_cert(cert_file, key, 0);
	write_cert(big_cert_file, key, 400);
	EVP_PKEY_free(key);
	EVP_PKEY_free(write_key(other_key_file, EVP_EC_gen("P-256"), NULL));
	EVP_PKEY_free(write_key(alien_key_file, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL));
	EVP_PKEY_free(write_key(locked_key_file, EVP_EC_gen("P-256"), EVP_aes_128_cbc()));
}

static void
remove_files(void)
{
	unlink(cert_file);
	unlink(key_file);
	unlink(other_key_file);
	unlink(alien_key_file);
	unlink(big_cert_file);
	unlink(locked_key_file);
	rmdir(dir);
}

static void
on_bytes(struct stream *s, char *p, size_t n)
{
	struct pair *t = s->owner;

	buf_add(&t->got, p, n);
}

static void
on_end(struct stream *s, int error)
{
	struct pair *t = s->owner;

	ck_assert_int_eq(t->end, NOT_YET);
	t->end = error;
	t->s = NULL;
	stream_free(s, false);
}

static const struct stream_user user = { .on_bytes = on_bytes, .on_end = on_end };

static void
setup(void)
{
	char *why;

	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	context = tls_context_new(cert_file, key_file, &why);
	ck_assert_ptr_nonnull(context);
	ck_assert_ptr_null(why);
}

static void
teardown(void)
{
	stream_free(pair.s, false);
	SSL_free(pair.client);
	if (pair.fd >= 0)
		close(pair.fd);
	buf_done(&pair.got);
	context = tls_context_free(context);
	loop = loop_free(loop);
}

static SSL *
client_new(int version, int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL	*ssl;

	SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0");
	SSL_CTX_set_min_proto_version(ctx, version);
	SSL_CTX_set_max_proto_version(ctx, version);
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	SSL_set_fd(ssl, fd);
	SSL_set_connect_state(ssl);
	return ssl;
}

/* Connects without a handshake; `room` bounds what the kernel takes from the server (0 = as usual). */
static void
pair_connect(int version, int room)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	if (room > 0)
		ck_assert_int_eq(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
	pair = (struct pair){ .fd = fds[1], .client = client_new(version, fds[1]), .end = NOT_YET };
	pair.s = stream_new(loop, fds[0], &stream_tls, &user, &pair);
	ck_assert_int_eq(tls_accept(pair.s, context), 0);
}

static int
client_error(int r)
{
	return SSL_get_error(pair.client, r);
}

/* Until both are done with it. */
static void
pair_handshake(void)
{
	for (unsigned i = 0; i < TURNS; i++) {
		int r = SSL_do_handshake(pair.client);

		ck_assert(r == 1 || client_error(r) == SSL_ERROR_WANT_READ || client_error(r) == SSL_ERROR_WANT_WRITE);
		loop_turn(loop, false);
		ck_assert_ptr_nonnull(pair.s);
		if (r == 1 && tls_is_open(pair.s))
			return;
	}
	ck_abort_msg("no handshake");
}

static void
pair_open(int version)
{
	pair_connect(version, 0);
	ck_assert(!tls_is_open(pair.s));
	pair_handshake();
}

static void
turn_until_got(size_t n)
{
	for (unsigned i = 0; i < TURNS && pair.got.n < n; i++)
		loop_turn(loop, false);
	ck_assert_uint_eq(pair.got.n, n);
}

static void
turn_until_end(int error)
{
	for (unsigned i = 0; i < TURNS && pair.end == NOT_YET; i++)
		loop_turn(loop, false);
	ck_assert_int_eq(pair.end, error);
	ck_assert_ptr_null(pair.s);
}

static void
client_write(const char *p, size_t n)
{
	ERR_clear_error();
	ck_assert_int_eq(SSL_write(pair.client, p, (int)n), (int)n);
}

/* Reads until `n` bytes are here, turning the loop meanwhile. */
static void
client_read(struct buf *in, size_t n)
{
	for (unsigned i = 0; i < TURNS && in->n < n; i++) {
		int r;

		ERR_clear_error();
		r = SSL_read(pair.client, buf_room(in, 4096), 4096);
		if (r > 0)
			in->n += (size_t)r;
		else
			ck_assert_int_eq(client_error(r), SSL_ERROR_WANT_READ);
		loop_turn(loop, false);
	}
	ck_assert_uint_eq(in->n, n);
}

/* The client's descriptor goes without a word. */
static void
client_vanish(void)
{
	SSL_free(pair.client);
	pair.client = NULL;
	close(pair.fd);
	pair.fd = -1;
}

/* Bytes that tell their place. */
static void
fill(char *p, size_t at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)((at + i) * 31 >> 3);
}

static bool
is_filled(const struct buf *b)
{
	char want;

	for (size_t i = 0; i < b->n; i++) {
		fill(&want, i, 1);
		if (b->p[i] != want)
			return false;
	}
	return true;
}

static void
send_filled(size_t *at, size_t n)
{
	struct frame *f = frame_raw(n);

	fill(f->wire, *at, n);
	*at += n;
	stream_send(pair.s, f);
}

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
#define N_VERSIONS	2

START_TEST(says_both_ways)
{
	autobuf struct buf in = { 0 };

	pair_open(versions[_i]);
	ck_assert_int_eq(SSL_version(pair.client), versions[_i]);
	client_write("hello", 5);
	turn_until_got(5);
	ck_assert(slice_is(buf_slice(&pair.got), "hello"));
	stream_send(pair.s, frame_raw_copy(SLICE("good ")));
	stream_send(pair.s, frame_raw_copy(SLICE("day")));
	client_read(&in, 8);
	ck_assert(slice_is(buf_slice(&in), "good day"));
	ck_assert_int_eq(pair.end, NOT_YET);
}
END_TEST

/* The error queue belongs to the whole process; here a call has to wait while there is something in it. */
START_TEST(errors_of_others_do_not_matter)
{
	pair_open(versions[_i]);
	ck_assert_int_eq(write(pair.fd, "\x17\x03", 2), 2);
	ERR_raise(ERR_LIB_USER, 1);
	loop_turn(loop, true);
	ck_assert_int_eq(pair.end, NOT_YET);
}
END_TEST

START_TEST(old_versions_are_refused)
{
	pair_connect(TLS1_1_VERSION, 0);
	SSL_do_handshake(pair.client);
	turn_until_end(-EPROTO);
	ck_assert_int_eq(client_error(SSL_do_handshake(pair.client)), SSL_ERROR_SSL);
}
END_TEST

START_TEST(no_session_is_kept)
{
	const SSL_SESSION *session;
	unsigned	   id_len;

	pair_open(versions[_i]);
	session = SSL_get_session(pair.client);
	ck_assert_int_eq(SSL_SESSION_has_ticket(session), 0);
	if (versions[_i] == TLS1_2_VERSION) {
		SSL_SESSION_get_id(session, &id_len);
		ck_assert_uint_eq(id_len, 0);
	}
	ck_assert_int_eq(SSL_get_current_compression(pair.client) == NULL, 1);
}
END_TEST

START_TEST(much_comes_in)
{
	static char all[300000];
	size_t	    at = 0;

	pair_open(versions[_i]);
	SSL_set_mode(pair.client, SSL_MODE_ENABLE_PARTIAL_WRITE);
	fill(all, 0, sizeof(all));
	for (unsigned i = 0; i < TURNS && at < sizeof(all); i++) {
		int r = SSL_write(pair.client, all + at, (int)(sizeof(all) - at));

		if (r > 0)
			at += (size_t)r;
		loop_turn(loop, false);
	}
	turn_until_got(sizeof(all));
	ck_assert(is_filled(&pair.got));
}
END_TEST

/* Frames of all sizes, more than the kernel takes, and more of them while it is full. */
START_TEST(much_goes_out)
{
	static const size_t sizes[] = { 1, 2, 100, 5000, 16383, 16384, 16385, 3, 70000, 7 };
	autobuf struct buf  in = { 0 };
	size_t		    at = 0;

	pair_connect(versions[_i], 4096);
	pair_handshake();
	for (unsigned i = 0; i < 60; i++) {
		send_filled(&at, sizes[i % 10]);
		if (i % 7 == 0)
			loop_turn(loop, false);
	}
	ck_assert(pair.s->stuck);
	client_read(&in, at);
	ck_assert(is_filled(&in));
	loop_turn(loop, false);
	ck_assert_uint_eq(pair.s->out.bytes, 0);
	ck_assert(!pair.s->stuck && !pair.s->out.held);
}
END_TEST

/* The first record of a big frame is gone, the second stuck, when others come. */
START_TEST(frames_join_one_on_its_way)
{
	autobuf struct buf in = { 0 };
	size_t		   at = 0;

	pair_connect(versions[_i], 4096);
	pair_handshake();
	send_filled(&at, 100000);
	client_read(&in, 16384);
	ck_assert(pair.s->stuck);
	for (unsigned i = 0; i < 5; i++)
		send_filled(&at, 10);
	client_read(&in, at);
	ck_assert(is_filled(&in));
}
END_TEST

START_TEST(many_small_frames_go_out)
{
	autobuf struct buf in = { 0 };
	size_t		   at = 0;

	pair_connect(versions[_i], 4096);
	pair_handshake();
	for (unsigned i = 0; i < 9000; i++) {
		send_filled(&at, 1 + i % 40);
		if (i % 61 == 0)
			loop_turn(loop, false);
	}
	client_read(&in, at);
	ck_assert(is_filled(&in));
}
END_TEST

START_TEST(one_byte_records)
{
	pair_open(versions[_i]);
	for (size_t i = 0; i < 500; i++) {
		char c;

		fill(&c, i, 1);
		client_write(&c, 1);
		if (i >= 50)
			loop_turn(loop, false);
	}
	turn_until_got(500);
	ck_assert(is_filled(&pair.got));
}
END_TEST

/* New keys need our answer, and bytes follow at once. */
START_TEST(key_update)
{
	autobuf struct buf in = { 0 };

	pair_open(TLS1_3_VERSION);
	for (unsigned i = 0; i < 40; i++) {
		ck_assert_int_eq(SSL_key_update(pair.client, SSL_KEY_UPDATE_REQUESTED), 1);
		client_write("k", 1);
		turn_until_got(i + 1);
		stream_send(pair.s, frame_raw_copy(SLICE("u")));
		client_read(&in, i + 1);
	}
}
END_TEST

/* All of it is in the kernel before we look; nothing comes afterwards that would wake us. */
START_TEST(orderly_end_behind_bytes)
{
	pair_open(versions[_i]);
	client_write("one", 3);
	client_write("two", 3);
	SSL_shutdown(pair.client);
	turn_until_end(0);
	ck_assert(slice_is(buf_slice(&pair.got), "onetwo"));
}
END_TEST

START_TEST(bare_end_is_not_orderly)
{
	pair_open(versions[_i]);
	client_write("half a mess", 11);
	client_vanish();
	turn_until_end(-ECONNRESET);
	ck_assert(slice_is(buf_slice(&pair.got), "half a mess"));
}
END_TEST

START_TEST(bare_end_within_a_record)
{
	char	part[10];
	BIO    *bio = BIO_new(BIO_s_mem());

	pair_open(versions[_i]);
	SSL_set0_wbio(pair.client, bio);
	client_write("cut", 3);
	ck_assert_int_eq(BIO_read(bio, part, sizeof(part)), sizeof(part));
	ck_assert_int_eq(write(pair.fd, part, sizeof(part)), sizeof(part));
	client_vanish();
	turn_until_end(-ECONNRESET);
	ck_assert_uint_eq(pair.got.n, 0);
}
END_TEST

START_TEST(bare_end_within_the_handshake)
{
	pair_connect(TLS1_3_VERSION, 0);
	if (_i > 0)
		SSL_do_handshake(pair.client);
	loop_turn(loop, false);
	client_vanish();
	turn_until_end(-ECONNRESET);
}
END_TEST

/* We say good-bye; the client's last words still come, and then a bare end is none that was forced on us. */
START_TEST(our_end_is_told)
{
	autobuf struct buf in = { 0 };
	int		   r;

	pair_open(versions[_i]);
	stream_send(pair.s, frame_raw_copy(SLICE("bye")));
	stream_shutdown(pair.s);
	client_read(&in, 3);
	r = SSL_read(pair.client, buf_room(&in, 16), 16);
	ck_assert_int_eq(client_error(r), SSL_ERROR_ZERO_RETURN);
	client_write("thanks", 6);
	turn_until_got(6);
	client_vanish();
	turn_until_end(0);
}
END_TEST

START_TEST(end_before_the_handshake)
{
	char c;

	pair_connect(TLS1_3_VERSION, 0);
	stream_shutdown(pair.s);
	ck_assert_int_eq(read(pair.fd, &c, 1), 0);
}
END_TEST

static const struct {
	const char *bytes;
	size_t	    n;
} garbage[] = {
	{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27 },
	{ "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", 36 },
	{ "\0\0\0\0\0\0\0\0\0\0\0\0", 12 },
	{ "\x16\x03\x01\xff\xff\x01\x00\x00\x00\x00\x00\x00", 12 },	/* a record longer than records are */
	{ "\x16\x03\x01\x00\x04\x0e\x00\x00\x00", 9 },			/* a message that servers send */
	{ "\x17\x03\x03\x00\x05hello", 10 },				/* data before any handshake */
	{ "\x15\x03\x01\x00\x02\x02\x28", 7 },				/* an alert at once */
};

START_TEST(garbage_is_refused)
{
	pair_connect(TLS1_3_VERSION, 0);
	ck_assert_int_eq(write(pair.fd, garbage[_i].bytes, garbage[_i].n), (ssize_t)garbage[_i].n);
	turn_until_end(-EPROTO);
}
END_TEST

START_TEST(forged_record_is_refused)
{
	static const char forged[] = "\x17\x03\x03\x00\x20" "0123456789abcdef0123456789abcdef";

	pair_open(versions[_i]);
	client_write("true", 4);
	ck_assert_int_eq(write(pair.fd, forged, sizeof(forged) - 1), sizeof(forged) - 1);
	turn_until_end(-EPROTO);
	ck_assert(slice_is(buf_slice(&pair.got), "true"));
}
END_TEST

START_TEST(renegotiation_is_refused)
{
	char c;
	int  r;

	pair_open(TLS1_2_VERSION);
	ck_assert_int_eq(SSL_renegotiate(pair.client), 1);
	SSL_do_handshake(pair.client);
	for (unsigned i = 0; i < 10; i++)
		loop_turn(loop, false);
	ERR_clear_error();
	r = SSL_read(pair.client, &c, 1);
	ck_assert_int_eq(client_error(r), SSL_ERROR_SSL);
	ck_assert_int_eq(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
	ck_assert_int_eq(pair.end, NOT_YET);
}
END_TEST

/* Waits for the client, and not for a kernel that is ready all the time. */
START_TEST(words_before_the_handshake_wait)
{
	autobuf struct buf in = { 0 };

	pair_connect(versions[_i], 0);
	stream_send(pair.s, frame_raw_copy(SLICE("early")));
	loop_turn(loop, false);
	ck_assert_uint_eq(pair.s->out.bytes, 5);
	ck_assert_int_eq(event_pending(&pair.s->event, EV_WRITE, NULL), 0);
	ck_assert_int_eq(event_pending(&pair.s->event, EV_READ, NULL), EV_READ);
	pair_handshake();
	client_read(&in, 5);
	ck_assert(slice_is(buf_slice(&in), "early"));
	ck_assert(!pair.s->stuck);
}
END_TEST

START_TEST(handshake_larger_than_the_kernel_takes)
{
	char *why;

	tls_context_free(context);
	context = tls_context_new(big_cert_file, key_file, &why);
	ck_assert_ptr_nonnull(context);
	pair_connect(versions[_i], 4096);
	SSL_do_handshake(pair.client);
	loop_turn(loop, false);
	ck_assert(pair.s->want_write_to_read);
	pair_handshake();
	ck_assert(!pair.s->want_write_to_read);
	client_write("x", 1);
	turn_until_got(1);
}
END_TEST

/* What is in a record that has been begun with cannot be taken back; the rest can. */
START_TEST(cleared_queue_leaves_whole_frames)
{
	static const char  last[] = "LAST";
	autobuf struct buf in = { 0 };
	size_t		   at = 0, kept;

	pair_connect(versions[_i], 4096);
	pair_handshake();
	for (unsigned i = 0; i < 1000 && !pair.s->stuck; i++) {
		for (unsigned k = 0; k < 30; k++)
			send_filled(&at, 100);
		loop_turn(loop, false);
	}
	ck_assert(pair.s->stuck && pair.s->out.held);
	for (unsigned k = 0; k < 300; k++)
		send_filled(&at, 100);
	kept = at - pair.s->out.bytes;
	outq_clear_unsent(&pair.s->out);
	kept += pair.s->out.bytes;
	ck_assert_uint_gt(pair.s->out.bytes, 0);
	ck_assert_uint_lt(kept, at);
	ck_assert_uint_eq(kept % 100, 0);
	stream_send(pair.s, frame_raw_copy(SLICE("LAST")));
	client_read(&in, kept + 4);
	ck_assert(memcmp(in.p + kept, last, 4) == 0);
	in.n = kept;
	ck_assert(is_filled(&in));
}
END_TEST

START_TEST(write_to_a_dead_peer)
{
	pair_open(versions[_i]);
	client_vanish();
	stream_set_reading(pair.s, false);
	stream_send(pair.s, frame_raw_copy(SLICE("anyone?")));
	loop_turn(loop, false);
	ck_assert_int_eq(pair.end, -EPIPE);
}
END_TEST

START_TEST(streams_outlive_their_context)
{
	pair_connect(versions[_i], 0);
	context = tls_context_free(context);
	pair_handshake();
	client_write("still here", 10);
	turn_until_got(10);
}
END_TEST

START_TEST(free_is_nice_to_nothing)
{
	ck_assert_ptr_null(tls_context_free(NULL));
	ck_assert(!tls_is_open(&(struct stream){ 0 }));
	pair = (struct pair){ .fd = -1 };
}
END_TEST

/* Each makes a bad file of the name, and says what it is. */
static void
make_text(const char *file)
{
	int fd = open(file, O_CREAT | O_WRONLY, 0600);

	ck_assert_int_eq(write(fd, "not PEM\n", 8), 8);
	close(fd);
}

static void
make_link(const char *file)
{
	ck_assert_int_eq(symlink(key_file, file), 0);
}

static void
make_fifo(const char *file)
{
	ck_assert_int_eq(mkfifo(file, 0600), 0);
}

static void
make_open_to(const char *file, mode_t mode)
{
	int fd = open(file, O_CREAT | O_WRONLY, 0600);

	close(fd);
	ck_assert_int_eq(chmod(file, mode), 0);
}

static void
make_group_readable(const char *file)
{
	make_open_to(file, 0640);
}

static void
make_world_readable(const char *file)
{
	make_open_to(file, 0604);
}

static void
make_nothing(const char *file)
{
}

static const struct {
	void	  (*make)(const char *file);
	const char *cert, *key;		/* NULL = the file that was made */
	const char *why;		/* behind the file's name */
} bad_files[] = {
	{ make_nothing, NULL, key_file, ": not a readable PEM certificate chain (No such file or directory)" },
	{ make_text, NULL, key_file, ": not a readable PEM certificate chain (no start line)" },
	{ make_nothing, cert_file, NULL, ": No such file or directory" },
	{ make_text, cert_file, NULL, ": not a PEM private key without a passphrase (" },
	{ make_link, cert_file, NULL, ": a private key must not be a symbolic link" },
	{ make_fifo, cert_file, NULL, ": a private key must be a regular file" },
	{ make_group_readable, cert_file, NULL, ": a private key must not be accessible to others (its mode is 0640" },
	{ make_world_readable, cert_file, NULL, ": a private key must not be accessible to others (its mode is 0604" },
	{ make_nothing, cert_file, other_key_file, ": the private key does not fit the certificate (key values mismatch)" },
	{ make_nothing, cert_file, alien_key_file, ": the private key does not fit the certificate (no certificate assigned)" },
	{ make_nothing, cert_file, locked_key_file, ": not a PEM private key without a passphrase (" },
	{ make_nothing, cert_file, dir, ": a private key must be a regular file" },
	{ make_nothing, dir, key_file, ": not a readable PEM certificate chain (" },
};

START_TEST(bad_file_is_named_with_the_reason)
{
	char		    made[64], want[192];
	const char	   *cert = bad_files[_i].cert, *key = bad_files[_i].key;
	struct tls_context *c;
	autofree char	   *why = NULL;

	name_file(made, "made");
	bad_files[_i].make(made);
	snprintf(want, sizeof(want), "%s%s", cert == NULL || key == NULL ? made : cert == dir ? cert : key, bad_files[_i].why);
	c = tls_context_new(cert != NULL ? cert : made, key != NULL ? key : made, &why);
	unlink(made);
	pair = (struct pair){ .fd = -1 };
	ck_assert_ptr_null(c);
	ck_assert_msg(strncmp(why, want, strlen(want)) == 0, "\"%s\" is not \"%s...\"", why, want);
}
END_TEST

static void
make_good(FILE *to, const char *file)
{
	FILE *from = fopen(file, "r");
	int   c;

	ck_assert_ptr_nonnull(from);
	while ((c = getc(from)) != EOF)
		putc(c, to);
	fclose(from);
}

/* Text around them, and a key that has no business there, are left out. */
START_TEST(authorities_are_read)
{
	char		   made[64];
	autobuf struct buf pem = { 0 };
	char		  *why = NULL;
	FILE		  *f;

	name_file(made, "made");
	f = fopen(made, "w");
	fputs("whose it is\n", f);
	make_good(f, cert_file);
	make_good(f, key_file);
	fputs("and another\n", f);
	make_good(f, big_cert_file);
	fputs("the end", f);
	fclose(f);
	ck_assert_int_eq(tls_read_authorities(made, &pem, &why), 0);
	unlink(made);
	ck_assert_ptr_null(why);
	buf_add_char(&pem, '\0');
	ck_assert_ptr_nonnull(strstr(pem.p, "-----BEGIN CERTIFICATE-----"));
	ck_assert_ptr_ne(strstr(pem.p, "-----BEGIN CERTIFICATE-----"), strstr(pem.p + 1, "-----BEGIN CERTIFICATE-----"));
	ck_assert_ptr_null(strstr(pem.p, "KEY"));
	ck_assert_ptr_null(strstr(pem.p, "another"));
}
END_TEST

static const struct {
	const char *before, *behind;	/* a certificate; NULL = that is not there */
	const char *why;
} bad_authorities[] = {
	{ NULL, NULL, "No such file or directory" },
	{ "", NULL, "no start line" },
	{ "hello\n", NULL, "no start line" },
	{ "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "" },
	{ "", "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "" },
};

START_TEST(bad_authorities_are_refused)
{
	char		   made[64], want[192];
	autobuf struct buf pem = { 0 };
	autofree char	  *why = NULL;
	FILE		  *f;

	name_file(made, "made");
	if (bad_authorities[_i].before != NULL) {
		f = fopen(made, "w");
		fputs(bad_authorities[_i].before, f);
		if (bad_authorities[_i].behind != NULL) {
			make_good(f, cert_file);
			fputs(bad_authorities[_i].behind, f);
		}
		fclose(f);
	}
	snprintf(want, sizeof(want), "%s: expected certificates in PEM (%s", made, bad_authorities[_i].why);
	ck_assert_int_eq(tls_read_authorities(made, &pem, &why), -EINVAL);
	unlink(made);
	ck_assert_msg(strncmp(why, want, strlen(want)) == 0, "\"%s\" is not \"%s...\"", why, want);
	ck_assert_uint_eq(pem.n, 0);
}
END_TEST

#define ROWS(table)	((int)(sizeof(table) / sizeof((table)[0])))

static void
add_stream_tests(TCase *t)
{
	tcase_add_loop_test(t, says_both_ways, 0, N_VERSIONS);
	tcase_add_loop_test(t, errors_of_others_do_not_matter, 0, N_VERSIONS);
	tcase_add_test(t, old_versions_are_refused);
	tcase_add_loop_test(t, no_session_is_kept, 0, N_VERSIONS);
	tcase_add_loop_test(t, much_comes_in, 0, N_VERSIONS);
	tcase_add_loop_test(t, much_goes_out, 0, N_VERSIONS);
	tcase_add_loop_test(t, frames_join_one_on_its_way, 0, N_VERSIONS);
	tcase_add_loop_test(t, many_small_frames_go_out, 0, N_VERSIONS);
	tcase_add_loop_test(t, one_byte_records, 0, N_VERSIONS);
	tcase_add_test(t, key_update);
	tcase_add_loop_test(t, words_before_the_handshake_wait, 0, N_VERSIONS);
	tcase_add_loop_test(t, handshake_larger_than_the_kernel_takes, 0, N_VERSIONS);
	tcase_add_loop_test(t, cleared_queue_leaves_whole_frames, 0, N_VERSIONS);
	tcase_add_loop_test(t, streams_outlive_their_context, 0, N_VERSIONS);
}

static void
add_end_tests(TCase *t)
{
	tcase_add_loop_test(t, orderly_end_behind_bytes, 0, N_VERSIONS);
	tcase_add_loop_test(t, bare_end_is_not_orderly, 0, N_VERSIONS);
	tcase_add_loop_test(t, bare_end_within_a_record, 0, N_VERSIONS);
	tcase_add_loop_test(t, bare_end_within_the_handshake, 0, 2);
	tcase_add_loop_test(t, our_end_is_told, 0, N_VERSIONS);
	tcase_add_test(t, end_before_the_handshake);
	tcase_add_loop_test(t, garbage_is_refused, 0, ROWS(garbage));
	tcase_add_loop_test(t, forged_record_is_refused, 0, N_VERSIONS);
	tcase_add_test(t, renegotiation_is_refused);
	tcase_add_loop_test(t, write_to_a_dead_peer, 0, N_VERSIONS);
}

Suite *
tls_suite(void)
{
	Suite *s = suite_create("tls");
	TCase *t = tcase_create("tls");

	tcase_add_unchecked_fixture(t, make_files, remove_files);
	tcase_add_checked_fixture(t, setup, teardown);
	add_stream_tests(t);
	add_end_tests(t);
	tcase_add_test(t, free_is_nice_to_nothing);
	tcase_add_loop_test(t, bad_file_is_named_with_the_reason, 0, ROWS(bad_files));
	tcase_add_test(t, authorities_are_read);
	tcase_add_loop_test(t, bad_authorities_are_refused, 0, ROWS(bad_authorities));
	suite_add_tcase(s, t);
	return s;
}
