/*
 * Tokens: every way in which one may be refused, the algorithms against OpenSSL's own signatures and the
 * vectors of RFC 7515, keys, and the cache.
 */
#include <check.h>
#include <errno.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/auth.h"
#include "base/b64.h"
#include "base/buf.h"
#include "base/mem.h"

Suite *auth_suite(void);

#define N(a)	(sizeof(a) / sizeof((a)[0]))

#define SECRET	"0123456789abcdef0123456789abcdef"
#define NOW	1700000000
#define NOW_MS	(NOW * INT64_C(1000))
#define HEAD	"{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define BODY	"{\"sub\":\"u\",\"exp\":1700000600}"

enum { RSA_KEY, P256_KEY, P384_KEY, P521_KEY, SMALL_RSA, K256_KEY, ED25519_KEY, N_KEYS };

static char	 folder[] = "/tmp/roost-auth-XXXXXX";
static EVP_PKEY *keys[N_KEYS];

/* Valid until the next call but three. */
static const char *
path(const char *name)
{
	static char	texts[4][256];
	static unsigned turn;
	char	       *p = texts[turn++ % 4];

	snprintf(p, sizeof(texts[0]), "%s/%s", folder, name);
	return p;
}

static void
write_file(const char *name, mode_t mode, const void *p, size_t n)
{
	FILE *f = fopen(path(name), "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(p, 1, n, f), n);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(chmod(path(name), mode), 0);
}

static void
write_text(const char *name, mode_t mode, const char *text)
{
	write_file(name, mode, text, strlen(text));
}

/* Writes what `bio` holds, and frees it. */
static void
write_bio(const char *name, BIO *bio)
{
	char *p;
	long  n = BIO_get_mem_data(bio, &p);

	ck_assert_int_gt(n, 0);
	write_file(name, 0644, p, (size_t)n);
	BIO_free(bio);
}

static void
write_public(const char *name, EVP_PKEY *pkey)
{
	BIO *bio = BIO_new(BIO_s_mem());

	ck_assert_int_eq(PEM_write_bio_PUBKEY(bio, pkey), 1);
	write_bio(name, bio);
}

static void
write_private(const char *name, EVP_PKEY *pkey)
{
	BIO *bio = BIO_new(BIO_s_mem());

	ck_assert_int_eq(PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
	write_bio(name, bio);
}

static void
write_certificate(const char *name, EVP_PKEY *pkey)
{
	BIO  *bio = BIO_new(BIO_s_mem());
	X509 *cert = X509_new();

	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, pkey);
	ck_assert_int_gt(X509_sign(cert, pkey, EVP_sha256()), 0);
	ck_assert_int_eq(PEM_write_bio_X509(bio, cert), 1);
	X509_free(cert);
	write_bio(name, bio);
}

/* PKCS #1 in PEM, and the other kind in DER. */
static void
write_odd_forms(EVP_PKEY *pkey)
{
	unsigned char *der = NULL;
	BIO	      *bio = BIO_new(BIO_s_mem());
	int	       n = i2d_PublicKey(pkey, &der);

	ck_assert_int_gt(PEM_write_bio(bio, PEM_STRING_RSA_PUBLIC, "", der, n), 0);
	write_bio("pkcs1.pem", bio);
	OPENSSL_free(der);
	der = NULL;
	n = i2d_PUBKEY(pkey, &der);
	write_file("rsa.der", 0600, der, (size_t)n);
	OPENSSL_free(der);
}

static void
write_commented(void)
{
	BIO *bio = BIO_new(BIO_s_mem());

	BIO_puts(bio, "The key of our issuer\n\n");
	ck_assert_int_eq(PEM_write_bio_PUBKEY(bio, keys[RSA_KEY]), 1);
	write_bio("commented.pem", bio);
}

static void
make_files(void)
{
	static const char zeros[64 * 1024 + 1];

	write_public("rsa.pem", keys[RSA_KEY]);
	write_public("p256.pem", keys[P256_KEY]);
	write_public("p384.pem", keys[P384_KEY]);
	write_public("p521.pem", keys[P521_KEY]);
	write_public("small.pem", keys[SMALL_RSA]);
	write_public("k256.pem", keys[K256_KEY]);
	write_public("ed25519.pem", keys[ED25519_KEY]);
	write_private("rsa-private.pem", keys[RSA_KEY]);
	write_private("p256-private.pem", keys[P256_KEY]);
	write_certificate("rsa-cert.pem", keys[RSA_KEY]);
	write_certificate("p384-cert.pem", keys[P384_KEY]);
	write_odd_forms(keys[RSA_KEY]);
	write_commented();
	write_text("secret", 0600, SECRET);
	write_text("secret-lf", 0400, SECRET "\n");
	write_text("secret-2lf", 0400, SECRET "\n\n");
	write_text("secret-0644", 0644, SECRET);
	write_text("secret-0640", 0640, SECRET);
	write_text("secret-31", 0600, "0123456789abcdef0123456789abcde");
	write_text("secret-31-lf", 0600, "0123456789abcdef0123456789abcde\n");
	write_text("empty", 0600, "");
	write_text("newline", 0600, "\n");
	write_text("jwk", 0600, "{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}");
	write_text("broken.pem", 0644, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
	write_file("large", 0600, zeros, sizeof(zeros));
	write_file("just", 0600, zeros, sizeof(zeros) - 1);
	ck_assert_int_eq(symlink(path("secret"), path("link")), 0);
	ck_assert_int_eq(mkfifo(path("fifo"), 0600), 0);
}

static void
make_keys(void)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
	keys[RSA_KEY] = EVP_RSA_gen(2048);
	keys[SMALL_RSA] = EVP_RSA_gen(1024);
	keys[P256_KEY] = EVP_EC_gen("P-256");
	keys[P384_KEY] = EVP_EC_gen("P-384");
	keys[P521_KEY] = EVP_EC_gen("P-521");
	keys[K256_KEY] = EVP_EC_gen("secp256k1");
	keys[ED25519_KEY] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	for (unsigned i = 0; i < N_KEYS; i++)
		ck_assert_ptr_nonnull(keys[i]);
	make_files();
}

static void
remove_keys(void)
{
	static const char *const names[] = {
		"rsa.pem", "p256.pem", "p384.pem", "p521.pem", "small.pem", "k256.pem", "ed25519.pem",
		"rsa-private.pem", "p256-private.pem", "rsa-cert.pem", "p384-cert.pem", "pkcs1.pem", "rsa.der",
		"commented.pem", "secret", "secret-lf", "secret-2lf", "secret-0644", "secret-0640", "secret-31",
		"secret-31-lf", "empty", "newline", "jwk", "broken.pem", "large", "just", "link", "fifo",
	};

	for (size_t i = 0; i < N(names); i++)
		unlink(path(names[i]));
	ck_assert_int_eq(rmdir(folder), 0);
	for (unsigned i = 0; i < N_KEYS; i++)
		EVP_PKEY_free(keys[i]);
}

/* Signing, without the code under test. */

static const EVP_MD *
digest_of(const char *alg)
{
	if (strcmp(alg + 2, "384") == 0)
		return EVP_sha384();
	return strcmp(alg + 2, "512") == 0 ? EVP_sha512() : EVP_sha256();
}

static EVP_PKEY *
key_of(const char *alg)
{
	if (alg[0] == 'R')
		return keys[RSA_KEY];
	if (strcmp(alg, "ES384") == 0)
		return keys[P384_KEY];
	return strcmp(alg, "ES512") == 0 ? keys[P521_KEY] : keys[P256_KEY];
}

/* r and s, each as long as the curve wants, in place of their DER. */
static size_t
raw_of_der(EVP_PKEY *pkey, unsigned char *sig, size_t n)
{
	const unsigned char *p = sig;
	ECDSA_SIG	    *ec = d2i_ECDSA_SIG(NULL, &p, (long)n);
	int		     half = (EVP_PKEY_get_bits(pkey) + 7) / 8;

	BN_bn2binpad(ECDSA_SIG_get0_r(ec), sig, half);
	BN_bn2binpad(ECDSA_SIG_get0_s(ec), sig + half, half);
	ECDSA_SIG_free(ec);
	return (size_t)half * 2;
}

static size_t
sign_by_key(const char *alg, struct slice text, unsigned char *sig, size_t size)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t	    n = size;

	ck_assert_int_eq(EVP_DigestSignInit(md, NULL, digest_of(alg), NULL, key_of(alg)), 1);
	ck_assert_int_eq(EVP_DigestSign(md, sig, &n, (const unsigned char *)text.p, text.n), 1);
	EVP_MD_CTX_free(md);
	return alg[0] == 'E' ? raw_of_der(key_of(alg), sig, n) : n;
}

static void
add_part(struct buf *b, const void *p, size_t n)
{
	b->n += b64url_encode(p, n, buf_room(b, B64_LEN(n)));
}

static char *
sign_parts(const char *alg, struct slice secret, struct slice header, struct slice payload)
{
	struct buf    b autobuf = { 0 };
	unsigned char sig[1024];
	unsigned      hmac_n;
	size_t	      n;

	add_part(&b, header.p, header.n);
	buf_add_char(&b, '.');
	add_part(&b, payload.p, payload.n);
	if (alg[0] == 'H') {
		HMAC(digest_of(alg), secret.p, (int)secret.n, (unsigned char *)b.p, b.n, sig, &hmac_n);
		n = hmac_n;
	} else {
		n = sign_by_key(alg, buf_slice(&b), sig, sizeof(sig));
	}
	buf_add_char(&b, '.');
	add_part(&b, sig, n);
	return xstrndup(b.p, b.n);
}

/* HS256 under SECRET, whatever the header says. */
static char *
sign(const char *header, const char *payload)
{
	return sign_parts("HS256", SLICE(SECRET), slice_str(header), slice_str(payload));
}

/* These return an auth of one key, to be freed with auth_free(). */

static struct auth *
auth_with(struct auth_key_options key, struct auth_options o)
{
	char	    *why = NULL;
	struct auth *a;

	o.keys = &key;
	o.n_keys = 1;
	a = auth_new(&o, &why);
	ck_assert_msg(a != NULL, "%s", why);
	return a;
}

static struct auth *
auth_of_file(const char *name)
{
	return auth_with((struct auth_key_options){ .file = path(name) }, (struct auth_options){ 0 });
}

static struct auth *
auth_of_secret(const char *secret, struct auth_options o)
{
	return auth_with((struct auth_key_options){ .secret = secret }, o);
}

#define AUTH(...)	auth_of_secret(SECRET, (struct auth_options){ __VA_ARGS__ })

/* NULL for a token that is taken, else the reason of its refusal. */
static const char *
verdict_at(struct auth *a, struct slice token, int64_t now)
{
	struct identity *who = NULL;
	const char	*why = NULL;
	int		 r = auth_verify(a, token, now, &who, &why);

	ck_assert_uint_eq(ERR_peek_error(), 0);
	if (r == 0) {
		ck_assert_ptr_nonnull(who);
		ck_assert_ptr_null(why);
		identity_unref(who);
		return NULL;
	}
	ck_assert_int_eq(r, -EACCES);
	ck_assert_ptr_null(who);
	ck_assert_ptr_nonnull(why);
	return why;
}

static void
expect_at(struct auth *a, struct slice token, int64_t now, const char *want)
{
	const char *got = verdict_at(a, token, now);

	if (got == NULL)
		got = "taken";
	if (want == NULL)
		want = "taken";
	ck_assert_msg(strcmp(got, want) == 0, "%.*s: got \"%s\", not \"%s\"", SLICE_ARG(token), got, want);
}

static void
expect(struct auth *a, const char *token, const char *want)
{
	expect_at(a, slice_str(token), NOW_MS, want);
}

/* Algorithms. */

static const struct {
	const char *alg, *file, *secret, *kind;
} algorithms[] = {
	{ "HS256", NULL, SECRET, NULL },
	{ "HS256", NULL, SECRET, "HS256" },
	{ "HS384", NULL, SECRET, "HS384" },
	{ "HS512", NULL, SECRET, "HS512" },
	{ "RS256", "rsa.pem", NULL, NULL },
	{ "RS256", "rsa-cert.pem", NULL, "" },
	{ "RS256", "pkcs1.pem", NULL, NULL },
	{ "RS256", "commented.pem", NULL, NULL },
	{ "RS256", "rsa.pem", NULL, "RS256" },
	{ "RS384", "rsa.pem", NULL, "RS384" },
	{ "RS512", "rsa.pem", NULL, "RS512" },
	{ "ES256", "p256.pem", NULL, NULL },
	{ "ES384", "p384.pem", NULL, NULL },
	{ "ES384", "p384-cert.pem", NULL, NULL },
	{ "ES512", "p521.pem", NULL, "ES512" },
};

static struct auth *
auth_of_algorithm(int i)
{
	struct auth_key_options key = {
		.file = algorithms[i].file != NULL ? path(algorithms[i].file) : NULL,
		.secret = algorithms[i].secret,
		.alg = algorithms[i].kind,
	};

	return auth_with(key, (struct auth_options){ 0 });
}

static char *
sign_for(const char *alg)
{
	char header[64];

	snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", alg);
	return sign_parts(alg, SLICE(SECRET), slice_str(header), SLICE(BODY));
}

START_TEST(algorithm_is_verified)
{
	struct auth *a = auth_of_algorithm(_i);

	/* Signatures of elliptic curves differ in length before they are padded. */
	for (unsigned i = 0; i < 20; i++) {
		char *token = sign_for(algorithms[_i].alg);

		expect(a, token, NULL);
		free(token);
	}
	auth_free(a);
}
END_TEST

START_TEST(algorithm_of_another_key_is_refused)
{
	struct auth *a = auth_of_algorithm(_i);
	char	     want[64];

	for (size_t i = 0; i < N(algorithms); i++) {
		char *token = sign_for(algorithms[i].alg);

		snprintf(want, sizeof(want), "algorithm %s does not match the key", algorithms[i].alg);
		if (strcmp(algorithms[i].alg, algorithms[_i].alg) != 0)
			expect(a, token, want);
		free(token);
	}
	auth_free(a);
}
END_TEST

/* Replaces the token's signature by `n` octets. */
static char *
resign(const char *token, const unsigned char *sig, size_t n)
{
	struct buf b autobuf = { 0 };

	buf_add(&b, token, (size_t)(strrchr(token, '.') + 1 - token));
	add_part(&b, sig, n);
	return xstrndup(b.p, b.n);
}

static void
expect_bad_signature(struct auth *a, const char *token, const unsigned char *sig, size_t n)
{
	char *other = resign(token, sig, n);

	expect(a, other, "bad signature");
	free(other);
}

START_TEST(altered_signature_is_refused)
{
	struct auth  *a = auth_of_algorithm(_i);
	char	     *token = sign_for(algorithms[_i].alg);
	unsigned char sig[1024] = { 0 };
	const char   *text = strrchr(token, '.') + 1;
	size_t	      n = (size_t)b64_decode(B64_URL, slice_str(text), sig);

	for (size_t i = 0; i < n; i++) {
		sig[i] ^= 0x10;
		expect_bad_signature(a, token, sig, n);
		sig[i] ^= 0x10;
	}
	expect_bad_signature(a, token, sig, n - 1);
	expect_bad_signature(a, token, sig, n + 1);
	expect_bad_signature(a, token, sig, n / 2);
	expect_bad_signature(a, token, sig, 1);
	memset(sig, 0, sizeof(sig));
	expect_bad_signature(a, token, sig, n);
	free(token);
	auth_free(a);
}
END_TEST

START_TEST(altered_text_is_refused)
{
	struct auth *a = auth_of_algorithm(_i);
	char	    *token = sign_for(algorithms[_i].alg);
	size_t	     n = (size_t)(strrchr(token, '.') - token);

	for (size_t i = 0; i < n; i++) {
		char was = token[i];

		token[i] = was == 'A' ? 'B' : 'A';
		ck_assert_ptr_nonnull(verdict_at(a, slice_str(token), NOW_MS));
		token[i] = was;
	}
	expect(a, token, NULL);
	free(token);
	auth_free(a);
}
END_TEST

/* A signature in DER, as most libraries give it, is none of JWT's. */
START_TEST(der_signature_is_refused)
{
	struct auth  *a = auth_of_file("p256.pem");
	char	     *token = sign_for("ES256");
	EVP_MD_CTX   *md = EVP_MD_CTX_new();
	unsigned char sig[128];
	size_t	      n = sizeof(sig), signed_n = (size_t)(strrchr(token, '.') - token);

	ck_assert_int_eq(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, keys[P256_KEY]), 1);
	ck_assert_int_eq(EVP_DigestSign(md, sig, &n, (unsigned char *)token, signed_n), 1);
	expect_bad_signature(a, token, sig, n);
	EVP_MD_CTX_free(md);
	free(token);
	auth_free(a);
}
END_TEST

static const char *const public_files[] = { "rsa.pem", "rsa-cert.pem", "pkcs1.pem", "commented.pem" };

/* The public key is known to all; as a secret it would let anyone sign. */
START_TEST(public_key_is_no_secret)
{
	struct auth *a = auth_of_file(public_files[_i]);
	FILE	    *f = fopen(path(public_files[_i]), "r");
	char	     pem[4096], *token;
	size_t	     n = fread(pem, 1, sizeof(pem), f);

	fclose(f);
	token = sign_parts("HS256", slice(pem, n), SLICE(HEAD), SLICE(BODY));
	expect(a, token, "algorithm HS256 does not match the key");
	free(token);
	token = sign_parts("HS256", slice(pem, n), SLICE("{\"alg\":\"RS256\"}"), SLICE(BODY));
	expect(a, token, "bad signature");
	free(token);
	auth_free(a);
}
END_TEST

/* RFC 7515, A.1 and A.3: their claims name no user, which is looked at after the signature. */
#define RFC_PAYLOAD "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define RFC_HS256	"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC_PAYLOAD
#define RFC_ES256	"eyJhbGciOiJFUzI1NiJ9." RFC_PAYLOAD
#define RFC_SECRET \
	"\x03\x23\x35\x4b\x2b\x0f\xa5\xbc\x83\x7e\x06\x65\x77\x7b\xa6\x8f" \
	"\x5a\xb3\x28\xe6\xf0\x54\xc9\x28\xa9\x0f\x84\xb2\xd2\x50\x2e\xbf" \
	"\xd3\xfb\x5a\x92\xd2\x06\x47\xef\x96\x8a\xb4\xc3\x77\x62\x3d\x22" \
	"\x3d\x2e\x21\x72\x05\x2e\x4f\x08\xc0\xcd\x9a\xf5\x67\xd0\x80\xa3"
#define RFC_POINT \
	"-----BEGIN PUBLIC KEY-----\n" \
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n" \
	"6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n" \
	"-----END PUBLIC KEY-----\n"

static const struct {
	const char *key, *token, *want;
} vectors[] = {
	{ RFC_SECRET, RFC_HS256 ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "no user" },
	{ RFC_SECRET, RFC_HS256 ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl", "malformed token" },
	{ RFC_SECRET, RFC_HS256 ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXg", "bad signature" },
	{ RFC_POINT,
	    RFC_ES256 ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q", "no user" },
};

START_TEST(vector_is_verified)
{
	struct auth *a = auth_of_secret(vectors[_i].key, (struct auth_options){ 0 });

	expect(a, vectors[_i].token, vectors[_i].want);
	auth_free(a);
}
END_TEST

/* Headers: signed as they stand. */

#define MALFORMED	"malformed token"
#define UNKNOWN		"unknown algorithm"
#define NAMED		"key named by the token"
#define LONG100		"01234567890123456789012345678901234567890123456789" \
			"01234567890123456789012345678901234567890123456789"

static const struct {
	const char *header, *want;
} headers[] = {
	{ "{\"alg\":\"HS256\"}", NULL },
	{ "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", NULL },
	{ "{\"alg\":\"HS256\",\"typ\":\"jwt\"}", NULL },
	{ " \r\n{ \"alg\" :\t\"HS256\" }\n", NULL },
	{ "{\"\\u0061lg\":\"\\u0048S256\"}", NULL },
	{ "{\"alg\":\"HS256\",\"x5t\":\"AAAA\",\"cty\":\"x\",\"" LONG100 "\":[1,{}]}", NULL },
	{ "{\"alg\":\"HS256\",\"kid\":\"any\"}", NULL },
	{ "{\"alg\":\"HS256\",\"kid\":\"../../key\"}", NULL },
	{ "{\"alg\":\"HS256\",\"kid\":\"' or 1=1 --\"}", NULL },
	{ "{\"alg\":\"HS256\",\"kid\":\"http://127.0.0.1/key\"}", NULL },
	{ "{\"alg\":\"none\"}", "algorithm none" },
	{ "{\"alg\":\"None\"}", "algorithm none" },
	{ "{\"alg\":\"nOnE\"}", "algorithm none" },
	{ "{\"alg\":\"NONE\",\"typ\":\"JWT\"}", "algorithm none" },
	{ "{\"alg\":\"HS384\"}", "algorithm HS384 does not match the key" },
	{ "{\"alg\":\"RS256\"}", "algorithm RS256 does not match the key" },
	{ "{\"alg\":\"ES256\"}", "algorithm ES256 does not match the key" },
	{ "{\"alg\":\"hs256\"}", UNKNOWN },
	{ "{\"alg\":\"HS256 \"}", UNKNOWN },
	{ "{\"alg\":\"\"}", UNKNOWN },
	{ "{\"alg\":\"PS256\"}", UNKNOWN },
	{ "{\"alg\":\"EdDSA\"}", UNKNOWN },
	{ "{\"alg\":\"" LONG100 "\"}", UNKNOWN },
	{ "{\"alg\":1}", MALFORMED },
	{ "{\"alg\":null}", MALFORMED },
	{ "{\"alg\":true}", MALFORMED },
	{ "{\"alg\":[\"HS256\"]}", MALFORMED },
	{ "{\"alg\":{\"alg\":\"HS256\"}}", MALFORMED },
	{ "{}", MALFORMED },
	{ "{\"typ\":\"JWT\"}", MALFORMED },
	{ "{\"ALG\":\"HS256\"}", MALFORMED },
	{ "{\"alg\":\"HS256\",\"alg\":\"HS256\"}", MALFORMED },
	{ "{\"alg\":\"none\",\"alg\":\"HS256\"}", MALFORMED },
	{ "{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}", MALFORMED },
	{ "{\"alg\":\"HS256\\u0000\"}", MALFORMED },
	{ "{\"alg\":\"HS256\",\"a\\u0000\":1}", MALFORMED },
	{ "{\"alg\":\"HS256\",\"\\ud800\":1}", MALFORMED },
	{ "{\"alg\":\"HS256\",\"kid\":1}", MALFORMED },
	{ "{\"alg\":\"HS256\",\"kid\":null}", MALFORMED },
	{ "{\"alg\":\"HS256\",\"kid\":\"a\\u0000\"}", MALFORMED },
	{ "{\"alg\":\"HS256\",\"kid\":\"a\",\"kid\":\"a\"}", MALFORMED },
	{ "{\"alg\":\"HS256\",\"kid\":\"" LONG100 LONG100 "\"}", "unknown kid" },
	{ "{\"alg\":\"HS256\",\"typ\":\"JWE\"}", "type is not JWT" },
	{ "{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", "type is not JWT" },
	{ "{\"alg\":\"HS256\",\"typ\":\"" LONG100 "\"}", "type is not JWT" },
	{ "{\"alg\":\"HS256\",\"typ\":1}", MALFORMED },
	{ "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"typ\":\"JWT\"}", MALFORMED },
	{ "{\"alg\":\"HS256\",\"jku\":\"https://evil.example/keys\"}", NAMED },
	{ "{\"alg\":\"HS256\",\"x5u\":\"https://evil.example/cert\"}", NAMED },
	{ "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"}}", NAMED },
	{ "{\"alg\":\"HS256\",\"x5c\":[\"AAAA\"]}", NAMED },
	{ "{\"alg\":\"HS256\",\"\\u006aku\":1}", NAMED },
	{ "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", "critical header" },
	{ "{\"alg\":\"HS256\",\"crit\":[]}", "critical header" },
	{ "{\"alg\":\"HS256\",\"b64\":false}", "critical header" },
	{ "{\"alg\":\"HS256\",\"b64\":true}", "critical header" },
	{ "[\"HS256\"]", MALFORMED },
	{ "\"HS256\"", MALFORMED },
	{ "null", MALFORMED },
	{ "1", MALFORMED },
	{ " ", MALFORMED },
	{ "{\"alg\":\"HS256\"}x", MALFORMED },
	{ "{\"alg\":\"HS256\"}{}", MALFORMED },
	{ "{\"alg\":\"HS256\"", MALFORMED },
	{ "{\"alg\":\"HS256\",}", MALFORMED },
	{ "{\"alg\":\"HS256\"}//", MALFORMED },
	{ "\xef\xbb\xbf{\"alg\":\"HS256\"}", MALFORMED },
	{ "{'alg':'HS256'}", MALFORMED },
	{ "{alg:\"HS256\"}", MALFORMED },
	{ "{\"alg\":\"HS256\",\"a\":NaN}", MALFORMED },
	{ "{\"alg\":\"HS256\",\"a\":\"\x01\"}", MALFORMED },
	{ "{\"alg\":\"HS256\",\"a\":\"\xff\"}", MALFORMED },
	{ "{\"alg\":\"HS256\",\"a\":\"\xc0\xaf\"}", MALFORMED },
	{ "{\"alg\":\"HS256\",\"a\":\"\xed\xa0\x80\"}", MALFORMED },
};

START_TEST(header_gets_its_answer)
{
	struct auth *a = AUTH(0);
	char	    *token = sign(headers[_i].header, BODY);

	expect(a, token, headers[_i].want);
	free(token);
	auth_free(a);
}
END_TEST

/* A token without a signature, as its algorithm "none" would have it. */
START_TEST(unsigned_token_is_refused)
{
	struct auth *a = AUTH(0);
	char	    *token = sign("{\"alg\":\"none\"}", BODY);

	strrchr(token, '.')[1] = '\0';
	expect(a, token, "algorithm none");
	free(token);
	token = sign(HEAD, BODY);
	strrchr(token, '.')[1] = '\0';
	expect(a, token, MALFORMED);
	free(token);
	auth_free(a);
}
END_TEST

/* Payloads. */

#define EXP	"\"exp\":1700000600"
#define BAD_EXP	"exp is not a time"
#define UNFIT	"unfit user"
#define U128	LONG100 "0123456789012345678901234567"

static const struct {
	const char *payload, *user, *name;
} taken[] = {
	{ "{\"sub\":\"u\"," EXP "}", "u", "u" },
	{ "\n{ \"sub\" : \"u\" , " EXP " }\n", "u", "u" },
	{ "{\"user_id\":\"a\",\"sub\":\"b\"," EXP "}", "a", "a" },
	{ "{\"sub\":\"b\",\"user_id\":\"a\"," EXP "}", "a", "a" },
	{ "{\"user_id\":42," EXP "}", "42", "42" },
	{ "{\"user_id\":0," EXP "}", "0", "0" },
	{ "{\"sub\":42," EXP "}", "42", "42" },
	{ "{\"user_id\":9223372036854775807," EXP "}", "9223372036854775807", "9223372036854775807" },
	{ "{\"sub\":\"u\",\"name\":\"\\u00fc\\ud83d\\ude00\\/\"," EXP "}", "u", "\xc3\xbc\xf0\x9f\x98\x80/" },
	{ "{\"sub\":\"\xc3\xbc\"," EXP "}", "\xc3\xbc", "\xc3\xbc" },
	{ "{\"sub\":\"\xc2\xa0\"," EXP "}", "\xc2\xa0", "\xc2\xa0" },
	{ "{\"sub\":\"" U128 "\"," EXP "}", U128, U128 },
	{ "{\"\\u0073ub\":\"u\"," EXP "}", "u", "u" },
	{ "{\"sub\":\"u\",\"username\":\"Ann\"," EXP "}", "u", "Ann" },
	{ "{\"sub\":\"u\",\"name\":\"Ann\"," EXP "}", "u", "Ann" },
	{ "{\"sub\":\"u\",\"name\":\"Ann\",\"username\":\"ann\"," EXP "}", "u", "ann" },
	{ "{\"sub\":\"u\",\"name\":\"\\u0041nn\",\"username\":\"\"," EXP "}", "u", "Ann" },
	{ "{\"sub\":\"u\",\"name\":\"Ann\",\"username\":\"a\\nb\"," EXP "}", "u", "Ann" },
	{ "{\"sub\":\"u\",\"name\":\"x" U128 "\",\"username\":7," EXP "}", "u", "u" },
	{ "{\"sub\":\"u\",\"nbf\":1700000000,\"iat\":1700000000," EXP "}", "u", "u" },
	{ "{\"sub\":\"u\",\"nbf\":0,\"iat\":0,\"exp\":253402300799}", "u", "u" },
	{ "{\"sub\":\"u\",\"x\":[1,{\"exp\":1,\"sub\":2}],\"x\":2," EXP "}", "u", "u" },
	{ "{\"sub\":\"u\",\"aud\":7,\"iss\":[]," EXP "}", "u", "u" },
};

static const struct {
	const char *payload, *want;
} refused[] = {
	{ "{" EXP "}", "no user" },
	{ "{\"Sub\":\"u\"," EXP "}", "no user" },
	{ "{\"name\":\"u\"," EXP "}", "no user" },
	{ "{\"sub\":\"\"," EXP "}", UNFIT },
	{ "{\"user_id\":\"\",\"sub\":\"u\"," EXP "}", UNFIT },
	{ "{\"user_id\":null,\"sub\":\"u\"," EXP "}", UNFIT },
	{ "{\"sub\":\"x" U128 "\"," EXP "}", UNFIT },
	{ "{\"sub\":\"\\u0078" U128 "\"," EXP "}", UNFIT },
	{ "{\"sub\":\"a\\tb\"," EXP "}", UNFIT },
	{ "{\"sub\":\"\\u00fc\\n\"," EXP "}", UNFIT },
	{ "{\"sub\":\"\\u001b[2J\"," EXP "}", UNFIT },
	{ "{\"sub\":\"\x7f\"," EXP "}", UNFIT },
	{ "{\"sub\":\"\xc2\x80\"," EXP "}", UNFIT },
	{ "{\"sub\":\"a\\u009f\"," EXP "}", UNFIT },
	{ "{\"sub\":null," EXP "}", UNFIT },
	{ "{\"sub\":true," EXP "}", UNFIT },
	{ "{\"sub\":[\"u\"]," EXP "}", UNFIT },
	{ "{\"sub\":{\"id\":1}," EXP "}", UNFIT },
	{ "{\"user_id\":-1," EXP "}", UNFIT },
	{ "{\"user_id\":1.0," EXP "}", UNFIT },
	{ "{\"user_id\":1e3," EXP "}", UNFIT },
	{ "{\"sub\":\"u\",\"sub\":\"v\"," EXP "}", MALFORMED },
	{ "{\"sub\":\"u\",\"s\\u0075b\":\"v\"," EXP "}", MALFORMED },
	{ "{\"sub\":\"u\"," EXP "," EXP "}", MALFORMED },
	{ "{\"sub\":\"u\",\"\\udc00\":1," EXP "}", "bad signature" },

	/* What jansson, which libjwt reads with, cannot hold. */
	{ "{\"sub\":\"a\\u0000b\"," EXP "}", "bad signature" },
	{ "{\"sub\":\"u\",\"x\":\"\\u0000\"," EXP "}", "bad signature" },
	{ "{\"user_id\":9223372036854775808," EXP "}", "bad signature" },
	{ "{\"sub\":\"u\",\"exp\":1e999}", "bad signature" },

	{ "{\"sub\":\"u\"}", "no exp" },
	{ "{\"sub\":\"u\",\"exp\":\"1700000600\"}", BAD_EXP },
	{ "{\"sub\":\"u\",\"exp\":1700000600.5}", BAD_EXP },
	{ "{\"sub\":\"u\",\"exp\":1700000600.0}", BAD_EXP },
	{ "{\"sub\":\"u\",\"exp\":1e300}", BAD_EXP },
	{ "{\"sub\":\"u\",\"exp\":17e8}", BAD_EXP },
	{ "{\"sub\":\"u\",\"exp\":-1700000600}", BAD_EXP },
	{ "{\"sub\":\"u\",\"exp\":253402300800}", BAD_EXP },
	{ "{\"sub\":\"u\",\"exp\":9223372036854775807}", BAD_EXP },
	{ "{\"sub\":\"u\",\"exp\":null}", BAD_EXP },
	{ "{\"sub\":\"u\",\"exp\":true}", BAD_EXP },
	{ "{\"sub\":\"u\",\"exp\":[1700000600]}", BAD_EXP },
	{ "{\"sub\":\"u\",\"nbf\":\"0\"," EXP "}", "nbf is not a time" },
	{ "{\"sub\":\"u\",\"nbf\":-1," EXP "}", "nbf is not a time" },
	{ "{\"sub\":\"u\",\"nbf\":1.5," EXP "}", "nbf is not a time" },
	{ "{\"sub\":\"u\",\"nbf\":null," EXP "}", "nbf is not a time" },
	{ "{\"sub\":\"u\",\"iat\":\"0\"," EXP "}", "iat is not a time" },
	{ "{\"sub\":\"u\",\"iat\":1e9," EXP "}", "iat is not a time" },
	{ "{\"sub\":\"u\",\"exp\":0}", "expired" },
	{ "{\"sub\":\"u\",\"exp\":1700000000}", "expired" },
	{ "{\"sub\":\"u\",\"nbf\":1700000001," EXP "}", "not yet valid" },
	{ "{\"sub\":\"u\",\"iat\":1700000001," EXP "}", "not yet valid" },

	{ "[]", MALFORMED },
	{ "null", MALFORMED },
	{ "\"u\"", MALFORMED },
	{ "{\"sub\":\"u\"," EXP "}}", MALFORMED },
	{ "{\"sub\":\"u\"," EXP ",}", MALFORMED },
	{ "{\"sub\":\"u\xff\"," EXP "}", MALFORMED },
	{ "{\"sub\":\"u\"," EXP ",\"x\":\"\xf4\x90\x80\x80\"}", MALFORMED },
	{ "{\"sub\":\"u\"," EXP ",\"x\":01}", MALFORMED },
	{ "{\"sub\":\"u\"," EXP ",\"x\":Infinity}", MALFORMED },
};

START_TEST(payload_is_taken)
{
	struct auth	*a = AUTH(0);
	const char	*payload = taken[_i].payload, *why = NULL;
	char		*token = sign(HEAD, payload);
	struct identity *who = NULL;
	size_t		 from = strcspn(payload, "{"), to = (size_t)(strrchr(payload, '}') + 1 - payload);

	ck_assert_int_eq(auth_verify(a, slice_str(token), NOW_MS, &who, &why), 0);
	ck_assert(slice_is(who->user, taken[_i].user));
	ck_assert(slice_is(who->name, taken[_i].name));
	ck_assert(slice_eq(who->claims, slice(payload + from, to - from)));
	identity_unref(who);
	free(token);
	auth_free(a);
}
END_TEST

START_TEST(payload_is_refused)
{
	struct auth *a = AUTH(0);
	char	    *token = sign(HEAD, refused[_i].payload);

	expect(a, token, refused[_i].want);
	free(token);
	auth_free(a);
}
END_TEST

START_TEST(deep_payload_is_refused)
{
	struct auth *a = AUTH(0);
	struct buf   b autobuf = { 0 };
	char	    *token;

	buf_add_str(&b, "{" EXP ",\"sub\":\"u\",\"x\":");
	for (unsigned i = 0; i < 2000; i++)
		buf_add_str(&b, "[");
	for (unsigned i = 0; i < 2000; i++)
		buf_add_str(&b, "]");
	buf_add_str(&b, "}");
	token = sign_parts("HS256", SLICE(SECRET), SLICE(HEAD), buf_slice(&b));
	expect(a, token, MALFORMED);
	free(token);
	auth_free(a);
}
END_TEST

/* The compact form. %1 = header, %2 = payload, %3 = signature of a good token. */

static const struct {
	const char *form, *want;
} forms[] = {
	{ "%1.%2.%3", NULL },
	{ "", MALFORMED },
	{ ".", MALFORMED },
	{ "..", MALFORMED },
	{ "...", MALFORMED },
	{ "a.b.c", MALFORMED },
	{ "%1", MALFORMED },
	{ "%1.%2", MALFORMED },
	{ "%1.%2.", MALFORMED },
	{ "%1.%2.%3.", MALFORMED },
	{ "%1.%2.%3.%3", MALFORMED },
	{ ".%1.%2.%3", MALFORMED },
	{ "%1..%2.%3", MALFORMED },
	{ "%1..%3", MALFORMED },
	{ ".%2.%3", MALFORMED },
	{ "%1.%2.%3=", MALFORMED },
	{ "%1=.%2.%3", MALFORMED },
	{ "%1.%2==.%3", MALFORMED },
	{ "%1.%2.%3\n", MALFORMED },
	{ " %1.%2.%3", MALFORMED },
	{ "%1.%2.%3 ", MALFORMED },
	{ "%1.%2\r\n.%3", MALFORMED },
	{ "%1.%2.+%3", MALFORMED },
	{ "%1.%2./%3", MALFORMED },
	{ "%1.%2.\xc3\xa4%3", MALFORMED },
	{ "%1.%2.\xff%3", MALFORMED },
	{ "%1.%2.\"%3\"", MALFORMED },
	{ "%1.%2.A%3", "bad signature" },
	{ "%1.%2.AAAA", "bad signature" },
	{ "%1.%2.%3A", "bad signature" },
	{ "%1.%2.%3AA", MALFORMED },
	{ "%1.%2.%3%3%3%3", "bad signature" },
	{ "%2.%1.%3", MALFORMED },
	{ "%1.%1.%3", "bad signature" },
	{ "Bearer %1.%2.%3", MALFORMED },
};

static void
add_form(struct buf *b, const char *form, const char *token)
{
	for (; *form != '\0'; form++) {
		const char *part = token;

		if (*form != '%') {
			buf_add_char(b, *form);
			continue;
		}
		for (char i = *++form; i > '1'; i--)
			part = strchr(part, '.') + 1;
		buf_add(b, part, strcspn(part, "."));
	}
}

START_TEST(form_gets_its_answer)
{
	struct auth *a = AUTH(0);
	char	    *token = sign(HEAD, BODY);
	struct buf   b autobuf = { 0 };

	add_form(&b, forms[_i].form, token);
	expect_at(a, buf_slice(&b), NOW_MS, forms[_i].want);
	free(token);
	auth_free(a);
}
END_TEST

START_TEST(every_truncation_is_refused)
{
	struct auth *a = AUTH(.cache = 4);
	char	    *token = sign(HEAD, BODY);

	expect(a, token, NULL);
	for (size_t n = 0; n < strlen(token); n++)
		ck_assert_ptr_nonnull(verdict_at(a, slice(token, n), NOW_MS));
	ck_assert_ptr_nonnull(verdict_at(a, slice(token, strlen(token) + 1), NOW_MS));
	free(token);
	auth_free(a);
}
END_TEST

/* Each other octet, in each place, changes the token. */
START_TEST(every_other_octet_is_refused)
{
	struct auth *a = AUTH(0);
	char	    *token = sign(HEAD, BODY);
	size_t	     n = strlen(token);

	for (size_t i = 0; i < n; i += 7) {
		char was = token[i];

		for (int c = 0; c < 256; c++) {
			token[i] = (char)c;
			if (token[i] != was)
				ck_assert_ptr_nonnull(verdict_at(a, slice(token, n), NOW_MS));
		}
		token[i] = was;
	}
	free(token);
	auth_free(a);
}
END_TEST

/* A good token of as many bytes as base64 allows up to `n`. */
static char *
sign_long(size_t n)
{
	struct buf b autobuf = { 0 };
	size_t	   want = n - strlen("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9..") - 43;

	buf_add_str(&b, "{" EXP ",\"sub\":\"u\",\"x\":\"");
	while (b.n < want / 4 * 3 - 2)
		buf_add_char(&b, 'x');
	buf_add_str(&b, "\"}");
	return sign_parts("HS256", SLICE(SECRET), SLICE(HEAD), buf_slice(&b));
}

START_TEST(length_is_bounded)
{
	struct auth *a = AUTH(.cache = 10);
	char	    *token = sign_long(AUTH_MAX_TOKEN), *longer = sign_long(AUTH_MAX_TOKEN + 8);
	struct buf   b autobuf = { 0 };

	ck_assert_uint_gt(strlen(token), AUTH_MAX_TOKEN - 8);
	ck_assert_uint_le(strlen(token), AUTH_MAX_TOKEN);
	expect(a, token, NULL);
	ck_assert_uint_gt(strlen(longer), AUTH_MAX_TOKEN);
	expect(a, longer, "token too long");
	while (b.n < 1000000)
		buf_add_str(&b, ".");
	expect_at(a, buf_slice(&b), NOW_MS, "token too long");
	b.n = AUTH_MAX_TOKEN;
	expect_at(a, buf_slice(&b), NOW_MS, MALFORMED);
	memset(b.p, 'A', b.n);
	expect_at(a, buf_slice(&b), NOW_MS, MALFORMED);
	b.p[4] = b.p[4096] = '.';
	expect_at(a, buf_slice(&b), NOW_MS, MALFORMED);
	free(token);
	free(longer);
	auth_free(a);
}
END_TEST

/* Times, in ms before or after NOW. */

static const struct {
	const char *payload;
	uint64_t    leeway, max_age;
	int64_t	    at;
	const char *want;
} times[] = {
	{ "{\"sub\":\"u\",\"exp\":1700000000}", 0, 0, -1, NULL },
	{ "{\"sub\":\"u\",\"exp\":1700000000}", 0, 0, 0, "expired" },
	{ "{\"sub\":\"u\",\"exp\":1700000000}", 30000, 0, 29999, NULL },
	{ "{\"sub\":\"u\",\"exp\":1700000000}", 30000, 0, 30000, "expired" },
	{ "{\"sub\":\"u\",\"exp\":1700000000}", UINT64_MAX, 0, 1000000000000, NULL },
	{ "{\"sub\":\"u\",\"exp\":253402300799}", UINT64_MAX, UINT64_MAX, 0, "no iat" },
	{ "{\"sub\":\"u\",\"exp\":253402300799,\"iat\":253402300799}", UINT64_MAX, UINT64_MAX, 0, NULL },
	{ "{\"sub\":\"u\",\"nbf\":1700000000,\"exp\":1800000000}", 0, 0, 0, NULL },
	{ "{\"sub\":\"u\",\"nbf\":1700000000,\"exp\":1800000000}", 0, 0, -1, "not yet valid" },
	{ "{\"sub\":\"u\",\"nbf\":1700000000,\"exp\":1800000000}", 30000, 0, -30000, NULL },
	{ "{\"sub\":\"u\",\"nbf\":1700000000,\"exp\":1800000000}", 30000, 0, -30001, "not yet valid" },
	{ "{\"sub\":\"u\",\"iat\":1700000000,\"exp\":1800000000}", 30000, 0, -30000, NULL },
	{ "{\"sub\":\"u\",\"iat\":1700000000,\"exp\":1800000000}", 30000, 0, -30001, "not yet valid" },
	{ "{\"sub\":\"u\",\"iat\":1700000000,\"exp\":1800000000}", 0, 60000, 59999, NULL },
	{ "{\"sub\":\"u\",\"iat\":1700000000,\"exp\":1800000000}", 0, 60000, 60000, "too old" },
	{ "{\"sub\":\"u\",\"iat\":1700000000,\"exp\":1800000000}", 30000, 60000, 89999, NULL },
	{ "{\"sub\":\"u\",\"iat\":1700000000,\"exp\":1800000000}", 30000, 60000, 90000, "too old" },
	{ "{\"sub\":\"u\",\"iat\":1700000000,\"exp\":1800000000}", 0, 1, 999, NULL },
	{ "{\"sub\":\"u\",\"iat\":1700000000,\"exp\":1800000000}", 0, 1, 1000, "too old" },
	{ "{\"sub\":\"u\",\"exp\":1800000000}", 0, 60000, 0, "no iat" },
};

/* The same at the first time and from the cache; and what is left says the same. */
START_TEST(time_gets_its_answer)
{
	struct auth	*a = AUTH(.leeway_ms = times[_i].leeway, .max_age_ms = times[_i].max_age, .cache = 4);
	char		*token = sign(HEAD, times[_i].payload);
	struct identity *who;
	const char	*why;

	for (unsigned i = 0; i < 3; i++)
		expect_at(a, slice_str(token), NOW_MS + times[_i].at, times[_i].want);
	if (auth_verify(a, slice_str(token), NOW_MS + times[_i].at, &who, &why) == 0) {
		identity_unref(who);
	}
	free(token);
	auth_free(a);
}
END_TEST

/* An identity ends with its token's exp, or its greatest age if that comes first. */
START_TEST(identity_ends_with_the_token)
{
	static const struct { uint64_t max_age; int64_t want; } ends[] = {
		{ 0, NOW + 600 }, { 60000, NOW + 60 }, { 60001, NOW + 61 }, { 6000000, NOW + 600 },
	};
	char *token = sign(HEAD, "{\"sub\":\"u\",\"iat\":1700000000," EXP "}");

	for (size_t i = 0; i < N(ends); i++) {
		struct auth	*a = AUTH(.max_age_ms = ends[i].max_age);
		struct identity *who;
		const char	*why;

		ck_assert_int_eq(auth_verify(a, slice_str(token), NOW_MS, &who, &why), 0);
		ck_assert_int_eq(who->expires, ends[i].want);
		identity_unref(who);
		auth_free(a);
	}
	free(token);
}
END_TEST

/* Parties: issuer "https://id.example", audience "roost". */

static const struct {
	const char *members, *want;
} parties[] = {
	{ "\"iss\":\"https://id.example\",\"aud\":\"roost\"", NULL },
	{ "\"iss\":\"https:\\/\\/id.example\",\"aud\":\"r\\u006fost\"", NULL },
	{ "\"iss\":\"https://id.example\",\"aud\":[\"roost\"]", NULL },
	{ "\"iss\":\"https://id.example\",\"aud\":[ \"a\" , \"roost\",\"b\" ]", NULL },
	{ "\"aud\":\"roost\"", "wrong issuer" },
	{ "\"iss\":\"https://id.example/\",\"aud\":\"roost\"", "wrong issuer" },
	{ "\"iss\":\"https://id.example\\u0020\",\"aud\":\"roost\"", "wrong issuer" },
	{ "\"iss\":\"HTTPS://id.example\",\"aud\":\"roost\"", "wrong issuer" },
	{ "\"iss\":[\"https://id.example\"],\"aud\":\"roost\"", "wrong issuer" },
	{ "\"iss\":\"\",\"aud\":\"roost\"", "wrong issuer" },
	{ "\"iss\":null,\"aud\":\"roost\"", "wrong issuer" },
	{ "\"iss\":\"https://id.example\"", "wrong audience" },
	{ "\"iss\":\"https://id.example\",\"aud\":\"\"", "wrong audience" },
	{ "\"iss\":\"https://id.example\",\"aud\":\"Roost\"", "wrong audience" },
	{ "\"iss\":\"https://id.example\",\"aud\":\"roost2\"", "wrong audience" },
	{ "\"iss\":\"https://id.example\",\"aud\":null", "wrong audience" },
	{ "\"iss\":\"https://id.example\",\"aud\":{\"roost\":1}", "wrong audience" },
	{ "\"iss\":\"https://id.example\",\"aud\":[]", "wrong audience" },
	{ "\"iss\":\"https://id.example\",\"aud\":[ ]", "wrong audience" },
	{ "\"iss\":\"https://id.example\",\"aud\":[\"a\",\"b\"]", "wrong audience" },
	{ "\"iss\":\"https://id.example\",\"aud\":[\"roost\",1]", "wrong audience" },
	{ "\"iss\":\"https://id.example\",\"aud\":[[\"roost\"]]", "wrong audience" },
	{ "\"iss\":\"https://id.example\",\"aud\":[\"roost\"],\"aud\":\"x\"", MALFORMED },
};

START_TEST(parties_get_their_answer)
{
	struct auth *a = AUTH(.issuer = "https://id.example", .audience = "roost");
	char	    *payload = xasprintf("{\"sub\":\"u\"," EXP ",%s}", parties[_i].members);
	char	    *token = sign(HEAD, payload);

	expect(a, token, parties[_i].want);
	free(token);
	free(payload);
	auth_free(a);
}
END_TEST

/* Key ids. The keys: SECRET with the letter as its last octet; "" = a key without a kid. */

static const struct {
	const char *kids[3];		/* of the configured keys */
	const char *header;		/* of the token */
	unsigned    signer;		/* the key that signs */
	const char *want;
} kid_rules[] = {
	{ { "" }, "{\"alg\":\"HS256\"}", 0, NULL },
	{ { "" }, "{\"alg\":\"HS256\",\"kid\":\"\"}", 0, NULL },
	{ { "" }, "{\"alg\":\"HS256\",\"kid\":\"a\"}", 0, NULL },
	{ { "a" }, "{\"alg\":\"HS256\"}", 0, NULL },
	{ { "a" }, "{\"alg\":\"HS256\",\"kid\":\"a\"}", 0, NULL },
	{ { "a" }, "{\"alg\":\"HS256\",\"kid\":\"\\u0061\"}", 0, NULL },
	{ { "a" }, "{\"alg\":\"HS256\",\"kid\":\"b\"}", 0, "unknown kid" },
	{ { "a" }, "{\"alg\":\"HS256\",\"kid\":\"A\"}", 0, "unknown kid" },
	{ { "a", "b" }, "{\"alg\":\"HS256\",\"kid\":\"a\"}", 0, NULL },
	{ { "a", "b" }, "{\"alg\":\"HS256\",\"kid\":\"b\"}", 1, NULL },
	{ { "a", "b" }, "{\"alg\":\"HS256\",\"kid\":\"b\"}", 0, "bad signature" },
	{ { "a", "b" }, "{\"alg\":\"HS256\",\"kid\":\"c\"}", 0, "unknown kid" },
	{ { "a", "b" }, "{\"alg\":\"HS256\",\"kid\":\"../../key\"}", 0, "unknown kid" },
	{ { "a", "b" }, "{\"alg\":\"HS256\"}", 0, "unknown kid" },
	{ { "", "b" }, "{\"alg\":\"HS256\"}", 0, NULL },
	{ { "", "b" }, "{\"alg\":\"HS256\"}", 1, "bad signature" },
	{ { "", "b" }, "{\"alg\":\"HS256\",\"kid\":\"b\"}", 1, NULL },
	{ { "", "b" }, "{\"alg\":\"HS256\",\"kid\":\"a\"}", 0, "unknown kid" },
	{ { "a", "", "b" }, "{\"alg\":\"HS256\"}", 1, NULL },
};

START_TEST(kid_gets_its_key)
{
	char	    secrets[3][sizeof(SECRET)];
	struct auth_key_options o[3] = { 0 };
	unsigned    n = 0;
	char	   *why = NULL, *token;
	struct auth *a;

	for (; n < 3 && kid_rules[_i].kids[n] != NULL; n++) {
		memcpy(secrets[n], SECRET, sizeof(SECRET));
		secrets[n][31] = (char)('x' + (int)n);
		o[n] = (struct auth_key_options){ .kid = kid_rules[_i].kids[n], .secret = secrets[n] };
	}
	a = auth_new(&(struct auth_options){ .keys = o, .n_keys = n }, &why);
	ck_assert_ptr_nonnull(a);
	token = sign_parts("HS256", slice_str(secrets[kid_rules[_i].signer]), slice_str(kid_rules[_i].header),
	    SLICE(BODY));
	expect(a, token, kid_rules[_i].want);
	free(token);
	auth_free(a);
}
END_TEST

/* A kid whose key is of another kind does not change the kind. */
START_TEST(keys_of_many_kinds_stay_apart)
{
	struct auth_key_options o[] = {
		{ .kid = "s", .secret = SECRET },
		{ .kid = "r", .file = path("rsa.pem") },
		{ .kid = "e", .file = path("p256.pem") },
	};
	char	    *why = NULL, *token;
	struct auth *a = auth_new(&(struct auth_options){ .keys = o, .n_keys = 3 }, &why);

	token = sign_parts("ES256", SLICE(""), SLICE("{\"alg\":\"ES256\",\"kid\":\"e\"}"), SLICE(BODY));
	expect(a, token, NULL);
	free(token);
	token = sign_parts("RS256", SLICE(""), SLICE("{\"alg\":\"RS256\",\"kid\":\"r\"}"), SLICE(BODY));
	expect(a, token, NULL);
	free(token);
	token = sign_parts("HS256", SLICE(SECRET), SLICE("{\"alg\":\"HS256\",\"kid\":\"r\"}"), SLICE(BODY));
	expect(a, token, "algorithm HS256 does not match the key");
	free(token);
	token = sign_parts("RS256", SLICE(""), SLICE("{\"alg\":\"RS256\",\"kid\":\"e\"}"), SLICE(BODY));
	expect(a, token, "algorithm RS256 does not match the key");
	free(token);
	auth_free(a);
}
END_TEST

START_TEST(without_keys_no_token_is_taken)
{
	char	    *why = NULL, *token = sign(HEAD, BODY);
	struct auth *a = auth_new(&(struct auth_options){ .cache = 8 }, &why);

	expect(a, token, "unknown kid");
	free(token);
	ck_assert_ptr_null(auth_free(a));
	ck_assert_ptr_null(auth_free(NULL));
}
END_TEST

/* Reading keys. `file` is in our folder; want NULL = it is taken. */

static const struct {
	const char *kid, *file, *secret, *alg;
	bool	    weak;
	const char *want;
} key_files[] = {
	{ .file = "secret" },
	{ .file = "secret-lf" },
	{ .file = "just" },
	{ .file = "secret", .alg = "HS512" },
	{ .file = "secret-31", .weak = true },
	{ .file = "secret-0644", .want = "readable by others (mode 0644); chmod 600 it" },
	{ .file = "secret-0640", .want = "readable by others (mode 0640); chmod 600 it" },
	{ .file = "secret-0644", .weak = true, .want = "readable by others" },
	{ .file = "secret-31", .want = "shorter than 32 octets" },
	{ .file = "secret-31-lf", .want = "shorter than 32 octets" },
	{ .file = "empty", .want = "empty" },
	{ .file = "empty", .weak = true, .want = "empty" },
	{ .file = "newline", .weak = true, .want = "empty" },
	{ .file = "large", .want = "larger than 64 KiB" },
	{ .file = "none", .want = "No such file" },
	{ .file = ".", .want = "not a regular file" },
	{ .file = "fifo", .want = "not a regular file" },
	{ .file = "link", .want = "symbolic link" },
	{ .file = "jwk", .want = "is JSON" },
	{ .file = "rsa.der", .want = "DER" },
	{ .file = "broken.pem", .want = "no PEM public key or certificate" },
	{ .file = "rsa-private.pem", .want = "is a private key; the public key is wanted" },
	{ .file = "p256-private.pem", .want = "is a private key; the public key is wanted" },
	{ .file = "small.pem", .want = "less than 2048 bits" },
	{ .file = "k256.pem", .want = "a curve other than" },
	{ .file = "ed25519.pem", .want = "neither an RSA nor an EC key" },
	{ .file = "rsa.pem", .alg = "HS256", .want = "good for RS256" },
	{ .file = "rsa.pem", .alg = "ES256", .want = "good for RS256" },
	{ .file = "p256.pem", .alg = "ES384", .want = "does not fit" },
	{ .file = "p256.pem", .alg = "HS256", .want = "does not fit" },
	{ .file = "p256.pem", .alg = "RS256", .want = "does not fit" },
	{ .file = "secret", .alg = "RS256", .want = "good for HS256" },
	{ .file = "secret", .alg = "none", .want = "unknown algorithm \"none\"" },
	{ .file = "secret", .alg = "hs256", .want = "unknown algorithm \"hs256\"" },
	{ .file = "secret", .alg = "PS256", .want = "unknown algorithm \"PS256\"" },
	{ .file = "secret", .secret = SECRET, .want = "not both" },
	{ .want = "needs a file or a secret" },
	{ .secret = SECRET },
	{ .secret = "roost-dev-secret", .weak = true },
	{ .secret = "roost-dev-secret", .want = "shorter than 32 octets" },
	{ .secret = "", .weak = true, .want = "empty" },
	{ .secret = RFC_POINT },
	{ .kid = LONG100, .secret = SECRET },
	{ .kid = LONG100 LONG100, .secret = SECRET, .want = "kid longer than 128 bytes" },
};

START_TEST(key_file_gets_its_answer)
{
	const char  *file = key_files[_i].file != NULL ? path(key_files[_i].file) : NULL;
	struct auth_key_options key = {
		.kid = key_files[_i].kid, .file = file, .secret = key_files[_i].secret, .alg = key_files[_i].alg
	};
	struct auth_options o = { .keys = &key, .n_keys = 1, .weak_secrets = key_files[_i].weak };
	char	    *why = NULL;
	struct auth *a = auth_new(&o, &why);

	ck_assert_uint_eq(ERR_peek_error(), 0);
	ck_assert_int_eq(a != NULL, key_files[_i].want == NULL);
	if (a == NULL) {
		ck_assert_msg(strstr(why, key_files[_i].want) != NULL, "%s", why);
		ck_assert(file == NULL || strstr(why, file) != NULL);
		ck_assert(key.kid == NULL || strstr(why, key.kid) != NULL);
		ck_assert_ptr_null(strstr(why, SECRET));
	}
	free(why);
	auth_free(a);
}
END_TEST

START_TEST(one_newline_of_a_secret_is_dropped)
{
	static const struct { const char *file; const char *secret; } files[] = {
		{ "secret", SECRET }, { "secret-lf", SECRET }, { "secret-2lf", SECRET "\n" },
	};

	for (size_t i = 0; i < N(files); i++) {
		struct auth *a = auth_of_file(files[i].file);
		char	    *token = sign_parts("HS256", slice_str(files[i].secret), SLICE(HEAD), SLICE(BODY));

		expect(a, token, NULL);
		free(token);
		auth_free(a);
	}
}
END_TEST

START_TEST(kid_twice_is_refused)
{
	static const char *const twice[][2] = { { "a", "a" }, { "", "" }, { NULL, "" } };

	for (size_t i = 0; i < N(twice); i++) {
		struct auth_key_options o[] = {
			{ .kid = twice[i][0], .secret = SECRET },
			{ .kid = twice[i][1], .secret = SECRET },
		};
		char *why = NULL;

		ck_assert_ptr_null(auth_new(&(struct auth_options){ .keys = o, .n_keys = 2 }, &why));
		ck_assert_ptr_nonnull(strstr(why, "two"));
		free(why);
	}
}
END_TEST

/* The cache. */

START_TEST(cache_shares_the_identity)
{
	struct auth	*a = AUTH(.cache = 4);
	char		*token = sign(HEAD, BODY), *copy = xstrdup(token);
	struct identity *first, *second;
	const char	*why;

	ck_assert_int_eq(auth_verify(a, slice_str(token), NOW_MS, &first, &why), 0);
	ck_assert_int_eq(auth_verify(a, slice_str(copy), NOW_MS, &second, &why), 0);
	ck_assert_ptr_eq(first, second);
	ck_assert_uint_eq(first->refs, 3);
	auth_free(a);
	ck_assert_uint_eq(first->refs, 2);
	identity_unref(first);
	identity_unref(second);
	free(token);
	free(copy);
}
END_TEST

START_TEST(cache_forgets_what_time_refuses)
{
	struct auth *a = AUTH(.cache = 4);
	char	    *token = sign(HEAD, "{\"sub\":\"u\",\"nbf\":1700000000," EXP "}");
	struct slice t = slice_str(token);

	expect_at(a, t, NOW_MS, NULL);
	expect_at(a, t, NOW_MS - 1, "not yet valid");
	expect_at(a, t, NOW_MS, NULL);
	expect_at(a, t, NOW_MS + 599999, NULL);
	expect_at(a, t, NOW_MS + 600000, "expired");
	expect_at(a, t, NOW_MS + 600000, "expired");
	free(token);
	auth_free(a);
}
END_TEST

START_TEST(cache_knows_whole_tokens_alone)
{
	struct auth *a = AUTH(.cache = 4);
	char	    *token = sign(HEAD, BODY);

	expect(a, token, NULL);
	expect_at(a, slice(token, strlen(token) - 1), NOW_MS, "malformed token");
	strrchr(token, '.')[1] ^= 1;
	expect(a, token, "bad signature");
	expect(a, token, "bad signature");
	free(token);
	auth_free(a);
}
END_TEST

static void
expect_shared(struct auth *a, const char *token, bool shared)
{
	struct identity *who;
	const char	*why;

	ck_assert_int_eq(auth_verify(a, slice_str(token), NOW_MS, &who, &why), 0);
	ck_assert_uint_eq(who->refs, shared ? 2 : 1);
	identity_unref(who);
}

/* The identity's other reference is the cache's. */
START_TEST(cache_can_be_off)
{
	struct auth *a = AUTH(.cache = 0);
	char	    *token = sign(HEAD, BODY);

	expect_shared(a, token, false);
	expect_shared(a, token, false);
	free(token);
	auth_free(a);
}
END_TEST

START_TEST(cache_drops_the_oldest)
{
	struct auth	*a = AUTH(.cache = 3);
	struct identity *who[5];
	const char	*why;
	char		*tokens[5];

	for (unsigned i = 0; i < 5; i++) {
		char *payload = xasprintf("{\"sub\":\"u%u\"," EXP "}", i);

		tokens[i] = sign(HEAD, payload);
		free(payload);
		ck_assert_int_eq(auth_verify(a, slice_str(tokens[i]), NOW_MS, &who[i], &why), 0);
	}
	for (unsigned i = 0; i < 5; i++)
		ck_assert_uint_eq(who[i]->refs, i < 2 ? 1 : 2);
	for (unsigned i = 0; i < 5; i++) {
		identity_unref(who[i]);
		free(tokens[i]);
	}
	auth_free(a);
}
END_TEST

/* A token of nearly 8 KiB is all that four entries may hold, and more than one may. */
START_TEST(cache_is_bounded_in_bytes)
{
	struct auth	*a = AUTH(.cache = 4), *tiny = AUTH(.cache = 1);
	char		*small = sign(HEAD, BODY), *big = sign_long(AUTH_MAX_TOKEN);
	struct identity *who;
	const char	*why;

	ck_assert_int_eq(auth_verify(a, slice_str(small), NOW_MS, &who, &why), 0);
	ck_assert_uint_eq(who->refs, 2);
	expect_shared(a, big, true);
	ck_assert_uint_eq(who->refs, 1);
	expect_shared(tiny, small, true);
	expect_shared(tiny, big, false);
	identity_unref(who);
	free(small);
	free(big);
	auth_free(a);
	auth_free(tiny);
}
END_TEST

static TCase *
tokens_case(void)
{
	TCase *t = tcase_create("tokens");

	tcase_add_loop_test(t, vector_is_verified, 0, N(vectors));
	tcase_add_loop_test(t, header_gets_its_answer, 0, N(headers));
	tcase_add_test(t, unsigned_token_is_refused);
	tcase_add_loop_test(t, payload_is_taken, 0, N(taken));
	tcase_add_loop_test(t, payload_is_refused, 0, N(refused));
	tcase_add_test(t, deep_payload_is_refused);
	tcase_add_loop_test(t, form_gets_its_answer, 0, N(forms));
	tcase_add_test(t, every_truncation_is_refused);
	tcase_add_test(t, every_other_octet_is_refused);
	tcase_add_test(t, length_is_bounded);
	tcase_add_loop_test(t, time_gets_its_answer, 0, N(times));
	tcase_add_test(t, identity_ends_with_the_token);
	tcase_add_loop_test(t, parties_get_their_answer, 0, N(parties));
	tcase_add_loop_test(t, kid_gets_its_key, 0, N(kid_rules));
	tcase_add_test(t, without_keys_no_token_is_taken);
	return t;
}

static TCase *
keys_case(void)
{
	TCase *t = tcase_create("keys");

	tcase_add_unchecked_fixture(t, make_keys, remove_keys);
	tcase_add_loop_test(t, algorithm_is_verified, 0, N(algorithms));
	tcase_add_loop_test(t, algorithm_of_another_key_is_refused, 0, N(algorithms));
	tcase_add_loop_test(t, altered_signature_is_refused, 0, N(algorithms));
	tcase_add_loop_test(t, altered_text_is_refused, 0, N(algorithms));
	tcase_add_test(t, der_signature_is_refused);
	tcase_add_loop_test(t, public_key_is_no_secret, 0, N(public_files));
	tcase_add_test(t, keys_of_many_kinds_stay_apart);
	tcase_add_loop_test(t, key_file_gets_its_answer, 0, N(key_files));
	tcase_add_test(t, one_newline_of_a_secret_is_dropped);
	tcase_add_test(t, kid_twice_is_refused);
	return t;
}

static TCase *
cache_case(void)
{
	TCase *t = tcase_create("cache");

	tcase_add_test(t, cache_shares_the_identity);
	tcase_add_test(t, cache_forgets_what_time_refuses);
	tcase_add_test(t, cache_knows_whole_tokens_alone);
	tcase_add_test(t, cache_can_be_off);
	tcase_add_test(t, cache_drops_the_oldest);
	tcase_add_test(t, cache_is_bounded_in_bytes);
	return t;
}

Suite *
auth_suite(void)
{
	Suite *s = suite_create("auth");

	suite_add_tcase(s, tokens_case());
	suite_add_tcase(s, keys_case());
	suite_add_tcase(s, cache_case());
	return s;
}
