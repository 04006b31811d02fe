/*
 * permessage-deflate: messages from RFC 7692 and from zlib, broken ones, too big ones; and the forms of a
 * frame.
 */
#include <check.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/mem.h"
#include "net/deflate.h"

Suite *deflate_suite(void);

#define KIB	1024u

static struct deflate *d;

static void
set_up(void)
{
	d = deflate_new(6);
}

static void
tear_down(void)
{
	d = deflate_free(d);
	ck_assert_ptr_null(d);
}

#define HELLO_FINAL	"\xf3\x48\xcd\xc9\xc9\x07\x00"
#define S(bytes)	{ bytes, sizeof(bytes) - 1 }

static const struct {
	struct slice in;
	int	     want;
	const char  *text;
} messages[] = {
	/* RFC 7692 section 7.2.3 */
	{ S("\xf2\x48\xcd\xc9\xc9\x07\x00"), 0, "Hello" },
	{ S("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), 0, "Hello" },
	{ S(HELLO_FINAL "\x00"), 0, "Hello" },
	{ S("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), 0, "Hello" },
	{ S("\x00"), 0, "" },
	/* what follows a final block: nothing, an empty block, a new stream */
	{ S(HELLO_FINAL), 0, "Hello" },
	{ S("\x01\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), 0, "Hello" },
	{ S("\x01"), 0, "" },
	{ S(HELLO_FINAL "\x00\x00\x00\xff\xff\x00"), 0, "Hello" },
	{ S(HELLO_FINAL "\xf2\x48\xcd\xc9\xc9\x07\x00"), 0, "HelloHello" },
	{ S(HELLO_FINAL HELLO_FINAL HELLO_FINAL "\x00"), 0, "HelloHelloHello" },
	{ S(HELLO_FINAL "\xff"), -EBADMSG, NULL },
	{ S(HELLO_FINAL "garbage"), -EBADMSG, NULL },
	{ S(HELLO_FINAL "\x00\x00"), -EBADMSG, NULL },
	{ S(HELLO_FINAL "\xf2\x00\x11\x00\x00"), -EBADMSG, NULL },
	/* a distance to the message before (section 7.2.3.2) */
	{ S("\xf2\x00\x11\x00\x00"), -EBADMSG, NULL },
	/* not deflate data */
	{ S("\xff"), -EBADMSG, NULL },
	{ S("\x07"), -EBADMSG, NULL },
	{ S("garbage"), -EBADMSG, NULL },
	{ S("\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00"), -EBADMSG, NULL },
	{ S("\x78\x9c\xf3\x48\xcd\xc9\xc9\x07\x00\x05\x8c\x01\xf5"), -EBADMSG, NULL },	/* with zlib's header */
	/* cut, or with the tail that is not sent */
	{ S(""), -EBADMSG, NULL },
	{ S("\xf2"), -EBADMSG, NULL },
	{ S("\xf2\x48\xcd\xc9"), -EBADMSG, NULL },
	{ S("\xf2\x48\xcd\xc9\xc9\x07"), -EBADMSG, NULL },
	{ S("\x00\x05\x00\xfa\xff\x48\x65\x6c"), -EBADMSG, NULL },
	{ S("\x00\x05\x00"), -EBADMSG, NULL },
	{ S("\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff"), -EBADMSG, NULL },
};

START_TEST(message_is_inflated)
{
	autobuf struct buf out = { 0 };

	buf_add_str(&out, "what was there before");
	/* Twice, as what was refused must leave no trace. */
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(deflate_inflate(d, messages[_i].in, 100, &out), messages[_i].want);
		if (messages[_i].want == 0)
			ck_assert(slice_is(buf_slice(&out), messages[_i].text));
	}
	ck_assert_int_eq(deflate_inflate(d, messages[0].in, 100, &out), 0);
	ck_assert(slice_is(buf_slice(&out), "Hello"));
}
END_TEST

/* Deterministic bytes: noise, or text with matches near and far. */
static void
fill(char *p, size_t n, bool noise)
{
	uint32_t v = 12345;

	for (size_t i = 0; i < n; i++) {
		v = v * 1103515245 + 12345;
		p[i] = noise ? (char)(v >> 23) : i < 600 ? (char)('a' + (v >> 20) % 26) : p[i - 600];
	}
}

/* What a client with that window would send. */
static void
client_deflates(struct buf *out, const void *p, size_t n, int bits, int flush)
{
	z_stream z = { 0 };
	size_t	 room = n + n / 8 + 100;

	ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, -bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)p;
	z.avail_in = (uInt)n;
	z.next_out = (Bytef *)buf_room(out, room);
	z.avail_out = (uInt)room;
	ck_assert_int_eq(deflate(&z, flush), flush == Z_FINISH ? Z_STREAM_END : Z_OK);
	ck_assert_uint_gt(z.avail_out, 0);
	out->n += room - z.avail_out - (flush == Z_SYNC_FLUSH ? 4 : 0);
	deflateEnd(&z);
}

/*
 * What a client gets from a frame's body if it keeps no more than that window: output leaves it in small
 * steps.
 */
static void
client_inflates(struct buf *out, struct frame *f, int bits)
{
	autobuf struct buf in = { 0 };
	z_stream	   z = { 0 };
	const size_t	   step = 64;
	int		   r;

	buf_add(&in, frame_body(f), frame_body_len(f));
	buf_add(&in, "\x00\x00\xff\xff", 4);
	ck_assert_int_eq(inflateInit2(&z, -bits), Z_OK);
	z.next_in = (Bytef *)in.p;
	z.avail_in = (uInt)in.n;
	do {
		z.next_out = (Bytef *)buf_room(out, step);
		z.avail_out = (uInt)step;
		r = inflate(&z, Z_SYNC_FLUSH);
		out->n += step - z.avail_out;
	} while (r == Z_OK && z.avail_out == 0);
	ck_assert(r == Z_OK || r == Z_BUF_ERROR);
	ck_assert_uint_eq(z.avail_in, 0);
	inflateEnd(&z);
}

static const size_t sizes[] = {
	1, 2, 100, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 32 * KIB - 1, 32 * KIB, 32 * KIB + 1, 100 * KIB, 200000,
};

/* Whatever the client's window; and at the bound, and one byte beyond it. */
START_TEST(sizes_are_bounded)
{
	const size_t   n = sizes[_i];
	autofree char *text = xmalloc(n);

	for (int bits = 9; bits <= 15; bits++) {
		autobuf struct buf in = { 0 }, out = { 0 };

		fill(text, n, bits % 2 == 0);
		client_deflates(&in, text, n, bits, Z_SYNC_FLUSH);
		ck_assert_int_eq(deflate_inflate(d, buf_slice(&in), n, &out), 0);
		ck_assert_uint_eq(out.n, n);
		ck_assert_mem_eq(out.p, text, n);
		ck_assert_int_eq(deflate_inflate(d, buf_slice(&in), n - 1, &out), -EMSGSIZE);
		ck_assert_int_eq(deflate_inflate(d, buf_slice(&in), SIZE_MAX, &out), 0);
	}
}
END_TEST

/* 64 MiB in 64 KiB: neither time nor memory may be spent on more than the bound. */
START_TEST(bomb)
{
	const size_t	   n = 64 * KIB * KIB;
	autofree char	  *zeros = xcalloc(n, 1);
	autobuf struct buf in = { 0 }, out = { 0 };

	client_deflates(&in, zeros, n, 15, Z_SYNC_FLUSH);
	ck_assert_uint_lt(in.n, 70 * KIB);
	ck_assert_int_eq(deflate_inflate(d, buf_slice(&in), KIB * KIB, &out), -EMSGSIZE);
	ck_assert_uint_le(out.n, KIB * KIB + 1);
	ck_assert_uint_le(out.cap, 2 * KIB * KIB);
	ck_assert_int_eq(deflate_inflate(d, buf_slice(&in), 0, &out), -EMSGSIZE);
}
END_TEST

START_TEST(nothing_fits_in_nothing)
{
	autobuf struct buf out = { 0 };

	ck_assert_int_eq(deflate_inflate(d, SLICE("\x00"), 0, &out), 0);
	ck_assert_uint_eq(out.n, 0);
	ck_assert_int_eq(deflate_inflate(d, slice(NULL, 0), 10, &out), -EBADMSG);
	ck_assert_int_eq(deflate_inflate(d, slice("", (size_t)UINT_MAX + 1), 10, &out), -EMSGSIZE);
}
END_TEST

/* A message that is cut is refused wherever that happens. */
START_TEST(cut_messages)
{
	char		   text[3000];
	autobuf struct buf in = { 0 }, out = { 0 };

	fill(text, sizeof(text), false);
	client_deflates(&in, text, sizeof(text), 15, Z_SYNC_FLUSH);
	for (size_t n = 0; n < in.n; n++)
		ck_assert_int_eq(deflate_inflate(d, slice(in.p, n), 100 * KIB, &out), -EBADMSG);
	ck_assert_int_eq(deflate_inflate(d, buf_slice(&in), 100 * KIB, &out), 0);
}
END_TEST

/*
 * A final block may end anywhere in a step: where its last byte fills it, or a match is still to be copied.
 */
START_TEST(final_block_ends_anywhere)
{
	const size_t   most = 32 * KIB + 300;
	autofree char *zeros = xcalloc(most, 1);

	for (size_t n = 32 * KIB - 300; n <= most; n++) {
		autobuf struct buf in = { 0 }, out = { 0 };

		client_deflates(&in, zeros, n, 15, Z_FINISH);
		ck_assert_int_eq(deflate_inflate(d, buf_slice(&in), 100 * KIB, &out), 0);
		ck_assert_uint_eq(out.n, n);
		buf_add_char(&in, 0);
		ck_assert_int_eq(deflate_inflate(d, buf_slice(&in), n, &out), 0);
		ck_assert_uint_eq(out.n, n);
	}
}
END_TEST

static struct frame *
frame_of(unsigned opcode, size_t n, bool noise)
{
	struct frame *f = frame_new(opcode, n);

	fill(frame_body(f), n, noise);
	return f;
}

/* Small windows make zlib slow: a large body goes plain to those who chose one. */
START_TEST(large_body_is_plain_for_small_windows)
{
	struct frame *f = frame_new(1, 64 * 1024 + 1);

	memset(frame_body(f), 'x', frame_body_len(f));
	ck_assert_ptr_eq(deflate_frame(d, f, 11), f);
	ck_assert_ptr_ne(deflate_frame(d, f, 12), f);
	frame_unref(f);
}
END_TEST

/* A form keeps to its window: a client that has no more than that can read it. */
START_TEST(form_for_each_window)
{
	struct frame *plain = frame_of(2, 5000, false), *forms[16], *f;

	for (unsigned bits = 9; bits <= 15; bits++) {
		autobuf struct buf out = { 0 };

		f = forms[bits] = deflate_frame(d, plain, bits);
		ck_assert_ptr_ne(f, plain);
		ck_assert_uint_eq(f->window, bits);
		ck_assert_uint_eq(f->opcode, 2);
		ck_assert_uint_eq((uint8_t)f->wire[0], 0xc2);
		ck_assert_uint_lt(f->len, plain->len);
		client_inflates(&out, f, (int)bits);
		ck_assert_uint_eq(out.n, 5000);
		ck_assert_mem_eq(out.p, frame_body(plain), 5000);
	}
	for (unsigned bits = 9; bits <= 15; bits++)
		ck_assert_ptr_eq(deflate_frame(d, plain, bits), forms[bits]);
	ck_assert_uint_eq(plain->refs, 1);
	ck_assert_uint_eq(forms[15]->refs, 1);
	frame_unref(plain);
}
END_TEST

/* Each message stands for itself: the same body deflates to the same bytes. */
START_TEST(no_context_is_taken_over)
{
	struct frame *a = frame_of(1, 300, false), *b = frame_of(1, 300, false), *x, *y;

	x = deflate_frame(d, a, 15);
	y = deflate_frame(d, b, 15);
	ck_assert_uint_eq(x->len, y->len);
	ck_assert_mem_eq(x->wire, y->wire, x->len);
	frame_unref(a);
	frame_unref(b);
}
END_TEST

START_TEST(not_smaller_is_remembered)
{
	struct frame *plain = frame_of(2, 1000, true), *mark;

	ck_assert_ptr_eq(deflate_frame(d, plain, 15), plain);
	mark = plain->alt;
	ck_assert_ptr_nonnull(mark);
	ck_assert_ptr_eq(deflate_frame(d, plain, 15), plain);
	ck_assert_ptr_eq(plain->alt, mark);
	ck_assert_ptr_eq(deflate_frame(d, plain, 10), plain);
	ck_assert_ptr_eq(deflate_frame(d, plain, 15), plain);
	ck_assert_ptr_eq(plain->alt->alt, mark);
	ck_assert_ptr_null(mark->alt);
	frame_unref(plain);
}
END_TEST

/* For every length there is a border where deflating ceases to help; it must be right on both sides. */
START_TEST(smaller_or_plain)
{
	for (size_t n = 0; n < 300; n++) {
		struct frame	  *plain = frame_new(1, n), *f;
		autobuf struct buf out = { 0 };

		fill(frame_body(plain), n, true);
		memset(frame_body(plain), 'a', n < 20 ? n : 20);
		f = deflate_frame(d, plain, 15);
		ck_assert(f == plain || f->len < plain->len);
		if (f != plain) {
			client_inflates(&out, f, 15);
			ck_assert_uint_eq(out.n, n);
			ck_assert_mem_eq(out.p, frame_body(plain), n);
		}
		frame_unref(plain);
	}
}
END_TEST

START_TEST(what_is_never_deflated)
{
	struct frame *raw = frame_raw_copy(SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
	struct frame *ping = frame_new(9, 100), *empty = frame_new(1, 0);

	memset(frame_body(ping), 'a', 100);
	ck_assert_ptr_eq(deflate_frame(d, raw, 15), raw);
	ck_assert_ptr_eq(deflate_frame(d, ping, 15), ping);
	ck_assert_ptr_eq(deflate_frame(d, empty, 15), empty);
	frame_unref(raw);
	frame_unref(ping);
	frame_unref(empty);
}
END_TEST

START_TEST(levels)
{
	for (int level = 1; level <= 9; level++) {
		struct deflate	  *other = deflate_new(level);
		struct frame	  *plain = frame_of(1, 100000, false), *f = deflate_frame(other, plain, 15);
		autobuf struct buf out = { 0 };

		ck_assert_uint_lt(f->len, 5000);
		ck_assert_int_eq(deflate_inflate(other, slice(frame_body(f), frame_body_len(f)), 100000, &out), 0);
		ck_assert_mem_eq(out.p, frame_body(plain), 100000);
		frame_unref(plain);
		deflate_free(other);
	}
}
END_TEST

START_TEST(free_takes_null)
{
	ck_assert_ptr_null(deflate_free(NULL));
}
END_TEST

Suite *
deflate_suite(void)
{
	Suite *s = suite_create("deflate");
	TCase *t = tcase_create("deflate");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, message_is_inflated, 0, sizeof(messages) / sizeof(messages[0]));
	tcase_add_loop_test(t, sizes_are_bounded, 0, sizeof(sizes) / sizeof(sizes[0]));
	tcase_add_test(t, bomb);
	tcase_add_test(t, nothing_fits_in_nothing);
	tcase_add_test(t, cut_messages);
	tcase_add_test(t, final_block_ends_anywhere);
	tcase_add_test(t, large_body_is_plain_for_small_windows);
	tcase_add_test(t, form_for_each_window);
	tcase_add_test(t, no_context_is_taken_over);
	tcase_add_test(t, not_smaller_is_remembered);
	tcase_add_test(t, smaller_or_plain);
	tcase_add_test(t, what_is_never_deflated);
	tcase_add_test(t, levels);
	tcase_add_test(t, free_takes_null);
	suite_add_tcase(s, t);
	return s;
}
