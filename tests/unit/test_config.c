/*
 * The configuration: what each source may say, what is refused and in which words, who wins, and that the
 * sample file and the manual page agree with the table.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/config_internal.h"

Suite *config_suite(void);

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))
#define MAX_ARGS	16

/* A configuration file without a name. */
struct file {
	int  fd;
	char path[32];
};

static void
file_write(struct file *f, const char *text)
{
	ck_assert_int_eq(ftruncate(f->fd, 0), 0);
	ck_assert_int_eq(pwrite(f->fd, text, strlen(text), 0), (ssize_t)strlen(text));
}

static struct file
file_make(const char *text)
{
	struct file f = { .fd = memfd_create("roost.conf", MFD_CLOEXEC) };

	ck_assert_int_ge(f.fd, 0);
	fchmod(f.fd, 0640);
	snprintf(f.path, sizeof(f.path), "/proc/self/fd/%d", f.fd);
	file_write(&f, text);
	return f;
}

/* One call of config_load(): words of the command line and variables, each divided by blanks. */
struct load {
	const char *file;	/* its text, NULL = none */
	const char *flags;
	const char *env;
};

struct result {
	int		   code;
	enum config_action action;
	struct config_set *set;
	char		  *why;		/* with FILE for the file's name */
	struct file	   file;
};

static void
split(char *text, char **words, unsigned at)
{
	for (char *p = text + strspn(text, " "); *p != '\0'; p += strspn(p, " ")) {
		words[at++] = p;
		p += strcspn(p, " ");
		if (*p == ' ')
			*p++ = '\0';
	}
	words[at] = NULL;
}

/* The file's name is another one each time. */
static char *
without_path(char *text, const char *path)
{
	autobuf struct buf out = { 0 };

	for (const char *p = text; p != NULL && *p != '\0';) {
		bool here = path[0] != '\0' && strncmp(p, path, strlen(path)) == 0;

		buf_add(&out, here ? "FILE" : p, here ? 4 : 1);
		p += here ? strlen(path) : 1;
	}
	free(text);
	return xstrndup(buf_slice(&out).p, out.n);
}

static struct result
load(const struct load *l)
{
	struct result  r = { .file.fd = -1 };
	autofree char *flags = xstrdup(l->flags != NULL ? l->flags : "");
	autofree char *env = xstrdup(l->env != NULL ? l->env : "");
	char	      *argv[MAX_ARGS] = { "roostd" }, *envp[MAX_ARGS];
	unsigned       argc = 1;

	if (l->file != NULL) {
		r.file = file_make(l->file);
		argv[argc++] = "-c";
		argv[argc++] = r.file.path;
	}
	split(flags, argv, argc);
	while (argv[argc] != NULL)
		argc++;
	split(env, envp, 0);
	r.code = config_load((int)argc, argv, envp, &r.set, &r.action, &r.why);
	r.why = without_path(r.why, r.file.path);
	return r;
}

static void
done(struct result *r)
{
	config_free(r->set);
	free(r->why);
	if (r->file.fd >= 0)
		close(r->file.fd);
}

static char *
dump(const struct config_set *set)
{
	autofree char *text = NULL;
	size_t	       n;
	FILE	      *out = open_memstream(&text, &n);

	config_dump(set, out);
	fclose(out);
	return xstrndup(text, n);
}

/* Is the whole line in the dump? */
static void
ck_dumped(const struct result *r, const char *line)
{
	autofree char *text = without_path(dump(r->set), r->file.path);
	autofree char *marked = xasprintf("\n%s", text);
	autofree char *wanted = xasprintf("\n%s\n", line);

	ck_assert_msg(strstr(marked, wanted) != NULL, "no \"%s\" in:\n%s", line, text);
}

static void
ck_refused(const struct load *l, int code, const char *why)
{
	struct result r = load(l);

	ck_assert_int_eq(r.code, code);
	ck_assert_ptr_null(r.set);
	ck_assert_str_eq(r.why, why);
	done(&r);
}

/* Defaults. */

START_TEST(defaults)
{
	struct result	     r = load(&(struct load){ 0 });
	const struct config *c = config_get(r.set);

	ck_assert_int_eq(r.code, 0);
	ck_assert_int_eq(r.action, CONFIG_RUN);
	ck_assert_uint_eq(c->listen.n, 1);
	ck_assert_str_eq(c->listen.items[0], "127.0.0.1:4000");
	ck_assert_str_eq(c->admin_listen.items[0], "127.0.0.1:4001");
	ck_assert_uint_eq(c->workers, 1);
	ck_assert(!c->dev && !c->supervise && !c->auth_anonymous && !c->require_origin);
	ck_assert(c->compression && c->default_routes);
	ck_assert_int_eq(c->log_level, LOG_INFO_);
	ck_assert(!c->log_json);
	ck_assert_uint_eq(c->origins.n, 0);
	ck_assert_uint_eq(c->max_message, 1 << 20);
	ck_assert_uint_eq(c->max_topic, 256);
	ck_assert_uint_eq(c->http_max_head, 16384);
	ck_assert_uint_eq(c->auth_leeway_ms, 30000);
	ck_assert_uint_eq(c->ping_interval_ms, 25000);
	ck_assert_str_eq(c->redis_url, "");
	ck_assert_uint_eq(c->n_routes + c->n_rates + c->n_keys, 0);
	done(&r);
}
END_TEST

/* The file: what is refused, and how. */

static const struct {
	const char *text;
	const char *why;
} bad_files[] = {
	/* names */
	{ "limits {\n\tmax_mesage = 1m\n}\n",
	  "FILE:2: unknown option 'limits.max_mesage', did you mean 'limits.max_message'?" },
	{ "limits { ping_interval = 1s }", "FILE:1: unknown option 'limits.ping_interval', "
	  "did you mean 'websocket.ping_interval'?" },
	{ "\n\nmax_message = 1m", "FILE:3: unknown option 'max_message', did you mean 'limits.max_message'?" },
	{ "limits.max_topic = 10", "FILE:1: unknown option 'limits.max_topic' outside of sections: "
	  "write limits { max_topic = ... }" },
	{ "limit { }", "FILE:1: unknown option 'limit', did you mean 'limits'?" },
	{ "lisen = \"a\"", "FILE:1: unknown option 'lisen', did you mean 'listen'?" },
	{ "rout \"a\" { class = room }", "FILE:1: unknown option 'rout', did you mean 'route'?" },
	{ "limits { zzzzzzzz = 1 }", "FILE:1: unknown option 'limits.zzzzzzzz'" },
	{ "qqqqq { }", "FILE:1: unknown option 'qqqqq'" },
	{ "route \"a\" { class = room ecko = yes }",
	  "FILE:1: unknown option of a route 'ecko', did you mean 'echo'?" },
	{ "key \"a\" { fil = x }", "FILE:1: unknown option of a key 'fil', did you mean 'file'?" },
	{ "auth { key_file }", "FILE:1: expected = or { behind 'key_file', got '}'" },
	{ "a|b = 1", "FILE:1: expected the name of an option or section, got 'a|b'" },
	{ "\"listen\" = 1", "FILE:1: expected the name of an option or section, got 'listen'" },
	{ "@line = 1", "FILE:1: expected the name of an option or section, got '@line'" },
	{ "route \"a\" { @line = 1 }", "FILE:1: expected the name of an option or section, got '@line'" },
	/* values */
	{ "# one\n/* two\n three */ // four\nlimits { max_message = big }",
	  "FILE:4: limits.max_message: expected a size such as 64k or 1m, got 'big'" },
	{ "limits { max_message = '' }", "FILE:1: limits.max_message: expected a size such as 64k or 1m, got ''" },
	{ "limits { max_message = 1 }", "FILE:1: limits.max_message: expected 64 to 1g, got '1'" },
	{ "limits { max_message = 99999999999999999999 }",
	  "FILE:1: limits.max_message: expected 64 to 1g, got '99999999999999999999'" },
	{ "limits { max_topic = 257 }", "FILE:1: limits.max_topic: expected 1 to 256, got '257'" },
	{ "limits { max_topic = -1 }", "FILE:1: limits.max_topic: expected a whole number, got '-1'" },
	{ "drain { time = soon }",
	  "FILE:1: drain.time: expected a duration such as 500ms, 10s or 5m, got 'soon'" },
	{ "drain { time = 2h }", "FILE:1: drain.time: expected 0 to 1h, got '2h'" },
	{ "server { supervise = maybe }", "FILE:1: server.supervise: expected yes or no, got 'maybe'" },
	{ "server { workers = 0 }", "FILE:1: server.workers: expected 1 to 256, got '0'" },
	{ "log { level = loud }", "FILE:1: log.level: expected error, warn, info or debug, got 'loud'" },
	{ "log { format = xml }", "FILE:1: log.format: expected text or json, got 'xml'" },
	{ "auth { alg = none }",
	  "FILE:1: auth.alg: expected HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384 "
	  "or ES512, got 'none'" },
	{ "node { id = 'a b' }", "FILE:1: node.id: expected at most 64 letters, digits and . _ : @ -, got 'a b'" },
	{ "debug { echo_path = echo }",
	  "FILE:1: debug.echo_path: expected a path that begins with /, got 'echo'" },
	{ "http { trusted_proxies = { 10.0.0.0/8,\n\t10.0.0.0/33 } }", "FILE:2: http.trusted_proxies: "
	  "expected a network such as 10.0.0.0/8, an address, or unix, got '10.0.0.0/33'" },
	{ "listen = { \"127.0.0.1:1\",\n \"4000\" }",
	  "FILE:2: listen: expected HOST:PORT, [V6]:PORT or unix:PATH, got '4000'" },
	{ "listen = localhost:99999", "FILE:1: listen: expected a port from 0 to 65535, got 'localhost:99999'" },
	{ "listen = example.com:1",
	  "FILE:1: listen: expected an IP address, localhost or * as the host, got 'example.com:1'" },
	{ "listen = '127.0.0.1:1,ssl'",
	  "FILE:1: listen: expected nothing but ,proxy and ,tls behind the address, got '127.0.0.1:1,ssl'" },
	{ "listen = {}", "FILE:1: listen: expected an address at least" },
	{ "admin { listen = {}\n}", "FILE:2: admin.listen: expected an address, or none" },
	{ "origins = { '' }", "FILE:1: origins: expected no empty element, got ''" },
	/* twice */
	{ "limits { max_topic = 1\nmax_topic = 2 }", "FILE:2: limits.max_topic is already set at FILE:1" },
	{ "limits { max_topic = 1 }\nlimits { max_topic = 1 }",
	  "FILE:2: limits.max_topic is already set at FILE:1" },
	{ "origins = a\norigins = { b, c }", "FILE:2: origins is already set at FILE:1" },
	{ "route a { class = room }\nroute a { class = room }",
	  "FILE:2: 'a' is already there: a pattern, kid or event stands once" },
	{ "rate a = 1/s\nrate b = 1/s\nrate a = 2/s",
	  "FILE:3: 'a' is already there: a pattern, kid or event stands once" },
	{ "key a { file = b } key a { file = b }",
	  "FILE:1: 'a' is already there: a pattern, kid or event stands once" },
	{ "route a { class = room class = chat }", "FILE:1: this route's class is already set" },
	{ "route a { class = room public = no public = yes }", "FILE:1: this route's public is already set" },
	{ "route a { class = room echo = no\necho = no }", "FILE:2: this route's option 'echo' is already set" },
	{ "route a { class = room options = { 'x=1', 'x=2' } }",
	  "FILE:1: this route's option 'x' is already set" },
	{ "key a { file = b\nfile = c }", "FILE:2: this key's file is already set" },
	/* keys, rates, routes */
	{ "\nkey a {\nalg = RS256\n}", "FILE:2: key \"a\" needs a file" },
	{ "key '' { file = x }", "FILE:1: a key needs a kid: key \"KID\" { file = \"...\" }" },
	{ "key a { file = x\n alg = RS255 }",
	  "FILE:2: key.alg: expected an algorithm such as HS256, RS256 or ES256, got 'RS255'" },
	{ "key { file = x }", "FILE:1: missing title for section 'key'" },
	{ "rate x = often", "FILE:1: rate \"x\": expected N/PERIOD such as 30/60s, got 'often'" },
	{ "rate x = 30 / 60s", "FILE:1: expected the name of an option or section, got '/'" },
	{ "rate = 30/60s", "FILE:1: expected rate \"EVENT\" = N/PERIOD, got '='" },
	{ "rate { }", "FILE:1: expected rate \"EVENT\" = N/PERIOD, got '{'" },
	{ "rate x { value = 1/s }", "FILE:1: expected = N/PERIOD behind the event, got '{'" },
	{ "rate x = { 1/s }", "FILE:1: expected a value, got '{'" },
	{ "rate '' = 1/s", "FILE:1: a rate needs the name of an event" },
	{ "limits { rate x = 1/s }", "FILE:1: unknown option 'limits.rate'" },
	{ "\nroute \"room:*\" {\n\n}", "FILE:2: route \"room:*\" needs a class or a module" },
	{ "route a { class = '' }", "FILE:1: route.class: expected a name, got ''" },
	{ "\nroute 'a{' {\nclass = room }",
	  "FILE:2: route \"a{\": the pattern has a \"{\" without name and \"}\"" },
	{ "route '' { class = room }", "FILE:1: route \"\": the pattern is empty" },
	{ "route a { class = room rate_reason = 'too fast' }",
	  "FILE:1: route.rate_reason: expected a word such as rate_limit_exceeded, got 'too fast'" },
	{ "route a { class = room rate_reason = '' }",
	  "FILE:1: route.rate_reason: expected a word such as rate_limit_exceeded, got ''" },
	{ "route a { class = room allow = user allow = anyone }", "FILE:1: this route's allow is already set" },
	{ "\nroute a {\nclass = room allow = {} }", "FILE:2: route \"a\": allow is empty: \"anyone\" lets in everybody" },
	{ "route a { class = room authorize_url = auth.example.com }",
	  "FILE:1: route.authorize_url: expected http://HOST/PATH or https://HOST/PATH, without user, password and #, "
	  "got 'auth.example.com'" },
	{ "route a { class = room authorize_url = 'http://u:p@h/' }",
	  "FILE:1: route.authorize_url: expected http://HOST/PATH or https://HOST/PATH, without user, password and #, "
	  "got 'http://u:p@h/'" },
	{ "route a { class = room authorize_url = 'http://h/' authorize_url = 'http://h/' }",
	  "FILE:1: this route's authorize_url is already set" },
	{ "\nroute a { class = room authorize_url = 'http://h/' }",
	  "FILE:2: route \"a\": authorize_url needs a secret to sign with: set authorize.secret_file" },
	{ "route a { class = room public = perhaps }", "FILE:1: route.public: expected yes or no, got 'perhaps'" },
	{ "route a { class = room echo = perhaps }", "FILE:1: route.echo: expected yes or no, got 'perhaps'" },
	{ "route a { class = room history_max = -1 }", "FILE:1: route.history_max: expected a number, got '-1'" },
	{ "route a { class = room history_age = soon }", "FILE:1: route.history_age: expected a time such as 10s, got 'soon'" },
	{ "route a { class = room events = { 'a,b' } }",
	  "FILE:1: route.events: expected elements without a comma, got 'a,b'" },
	{ "route a { class = room options = { x } }", "FILE:1: route.options: expected \"name=value\", got 'x'" },
	{ "route a { class = room options = { '=x' } }",
	  "FILE:1: route.options: expected \"name=value\", got '=x'" },
	{ "route a { class = room rate x = 0 }", "FILE:1: rate \"x\": expected N/PERIOD such as 30/60s, got '0'" },
	{ "route a { route b { class = room } }",
	  "FILE:1: unknown option of a route 'route', did you mean 'rate'?" },
	/* form */
	{ "limits {\n\n", "FILE:1: this section has no end: } is missing" },
	{ "limits {}\n}", "FILE:2: this } closes nothing" },
	{ "listen = \"abc\nlisten = \"", "FILE:1: this string has no end on its line" },
	{ "listen = 'abc", "FILE:1: this string has no end on its line" },
	{ "\n/* abc\n\n", "FILE:2: this comment has no end" },
	{ "listen = \"a\\n\"",
	  "FILE:1: expected \\\" or \\\\ behind this backslash: single quotes take it as it is" },
	{ "listen = \"a\tb\"", "FILE:1: a control character in a string" },
	{ "listen = a\001b", "FILE:1: a control character" },
	{ "listen", "FILE:1: expected = or { behind 'listen', got the end of the file" },
	{ "listen =", "FILE:1: expected a value, got the end of the file" },
	{ "listen = = a", "FILE:1: expected a value, got '='" },
	{ "listen = { a b }", "FILE:1: expected a comma or } in this list, got 'b'" },
	{ "listen = { a, , b }", "FILE:1: expected a value or } in this list, got ','" },
	{ "listen { a }", "FILE:1: expected = or { behind 'a', got '}'" },
	{ "listen += { a }", "FILE:1: expected { behind a title, got '='" },
	{ "limits = 5", "FILE:1: missing opening brace for section 'limits'" },
	{ "limits { max_topic = { 5 } }", "FILE:1: unexpected token '{'" },
	{ "limits x { }", "FILE:1: missing opening brace for section 'limits'" },
	{ "listen x { }", "FILE:1: missing equal sign after option 'listen'" },
	{ "origins = { self, //b.example }",
	  "FILE:1: expected a value or } in this list, got the end of the file" },
	{ "auth { issuer = ${HOME} }", "FILE:1: expected the name of an option or section, got '{'" },
	{ "auth { secret = c2VjcmV0cw== }",
	  "FILE:1: expected a secret alone: it needs quotes if it has blanks or one of { } = , # in it" },
	{ "{ }", "FILE:1: expected the name of an option or section, got '{'" },
	{ "a{b{c{d{e{", "FILE:1: sections do not nest so deep" },
	{ "a{b{c{d{e f{", "FILE:1: sections do not nest so deep" },
};

START_TEST(refuses_file)
{
	ck_refused(&(struct load){ .file = bad_files[_i].text }, 78, bad_files[_i].why);
}
END_TEST

/* The file: what is taken, and what it becomes. */

static const struct {
	const char *text;
	const char *line;	/* of the dump */
} good_files[] = {
	{ "", "limits.max_topic = 256   # default" },
	{ "# nothing", "limits.max_topic = 256   # default" },
	{ "limits { max_message = 64k }", "limits.max_message = 64k   # FILE:1" },
	{ "limits\n{\nmax_message\n=\n65536\n}", "limits.max_message = 64k   # FILE:5" },
	{ "limits { max_message = '64KiB' max_topic = 5 }", "limits.max_topic = 5   # FILE:1" },
	{ "limits { max_message = 1m }\r\nlimits { max_topic = 7 }\r\n", "limits.max_topic = 7   # FILE:2" },
	{ "/**/ # x = {\n// y\n/* }\n */ limits { /* 1 */ max_topic /* 2 */ = 3 # 4\n}",
	  "limits.max_topic = 3   # FILE:4" },
	{ "websocket { compression = OFF }", "websocket.compression = no   # FILE:1" },
	{ "log { level = warn format = json }", "log.format = json   # FILE:1" },
	{ "auth { leeway = 90 }", "auth.leeway = 90s   # FILE:1" },
	{ "listen = *:4000", "listen = { \"*:4000\" }   # FILE:1" },
	{ "listen = { '[::1]:80,proxy',\n'unix:/a b' }",
	  "listen = { \"[::1]:80,proxy\", \"unix:/a b\" }   # FILE:2" },
	{ "admin { listen = none }", "admin.listen = { \"none\" }   # FILE:1" },
	{ "origins = {}", "origins = {}   # FILE:1" },
	{ "http { trusted_proxies = {}\n}", "http.trusted_proxies = {}   # FILE:2" },
	{ "origins = https://a.example", "origins = { \"https://a.example\" }   # FILE:1" },
	{ "http { trusted_proxies = { unix, ::1, 10.1.0.0/16 } }",
	  "http.trusted_proxies = { \"unix\", \"::1\", \"10.1.0.0/16\" }   # FILE:1" },
	{ "auth { issuer = \"a\\\"b\\\\c\" }", "auth.issuer = \"a\\\"b\\\\c\"   # FILE:1" },
	{ "auth { issuer = 'a\\b\"${HOME}' }", "auth.issuer = \"a\\\\b\\\"${HOME}\"   # FILE:1" },
	{ "auth { issuer = 'it\\'s' }", "auth.issuer = \"it's\"   # FILE:1" },
	{ "auth { issuer = \"${HOME}\" }", "auth.issuer = \"${HOME}\"   # FILE:1" },
	{ "auth { issuer = \303\251 }", "auth.issuer = \"\303\251\"   # FILE:1" },
	{ "auth { issuer = rate audience = 5 }", "auth.issuer = \"rate\"   # FILE:1" },
	{ "origins = { rate, x }", "origins = { \"rate\", \"x\" }   # FILE:1" },
	{ "rate new_msg = 30/60s", "rate \"new_msg\" = 30/1m" },
	{ "rate \"a b\" = '1/s'", "rate \"a b\" = 1/1s" },
	{ "rate\n\"rate\"\n= # c\n0/2h\nlimits { max_topic = 9 }", "limits.max_topic = 9   # FILE:5" },
	{ "limits { max_topic = 4 } rate x = 1/s limits { max_queue = 2k }", "limits.max_queue = 2k   # FILE:1" },
	{ "key 'k 1' { file = /x alg = RS256 }", "key \"k 1\" {\n\tfile = \"/x\"\n\talg = \"RS256\"\n}" },
	{ "key k { file = /x }", "key \"k\" {\n\tfile = \"/x\"\n}" },
	{ "\nroute 'a$:{c}*' {\nmodule = \"/m.so\" }", "# FILE:2\nroute \"a$:{c}*\" {\n\tmodule = \"/m.so\"\n}" },
	{ "\nroute \"a:{c}\" {\nmodule = \"/m.so\" }", "# FILE:2\nroute \"a:{c}\" {\n\tmodule = \"/m.so\"\n}" },
	{ "route a { class = room allow = { user, 'claim role = a, b' } }",
	  "route \"a\" {\n\tclass = \"room\"\n\tallow = { \"user\", \"claim role = a, b\" }\n}" },
	{ "route a { class = room allow = anyone }", "route \"a\" {\n\tclass = \"room\"\n\tallow = { \"anyone\" }\n}" },
	{ "authorize { secret_file = /s } route a { class = room authorize_url = 'http://127.0.0.1:1/x' }",
	  "route \"a\" {\n\tclass = \"room\"\n\tauthorize_url = \"http://127.0.0.1:1/x\"\n}" },
	{ "route a { class = room rate_reason = slow_down }", "route \"a\" {\n\tclass = \"room\"\n\trate_reason = \"slow_down\"\n}" },
	{ "route a { class = room public = yes } route b { class = room public = yes }",
	  "route \"b\" {\n\tclass = \"room\"\n\tpublic = yes\n}" },
	{ "route a { events = {} class = room }", "route \"a\" {\n\tclass = \"room\"\n}" },
	{ "route a { class = room options = { 'b=c=d', 'e=' } public = on echo = no events = { f, 'g h' }\n"
	  "rate f = 5/10s rate g = 1/s }",
	  "route \"a\" {\n\tclass = \"room\"\n\tpublic = yes\n\techo = \"no\"\n\tevents = { \"f\", \"g h\" }\n"
	  "\toptions = { \"b=c=d\", \"e=\" }\n\trate \"f\" = 5/10s\n\trate \"g\" = 1/1s\n}" },
};

START_TEST(takes_file)
{
	struct result r = load(&(struct load){ .file = good_files[_i].text });

	ck_assert_msg(r.code == 0, "%s", r.why);
	ck_dumped(&r, good_files[_i].line);
	done(&r);
}
END_TEST

/* Routes, keys and rates keep their order and reach the structures whole. */
START_TEST(reads_routes)
{
	struct result r = load(&(struct load){ .file =
	    "route b { class = room rate e = 3/1m }\n"
	    "rate x = 1/s\nrate w = 2/s\n"
	    "key k2 { file = f2 } key k1 { file = f1 alg = ES256 }\n"
	    "route a { events = { p, q } module = m options = { 'o=1' } public = yes }" });
	const struct config	  *c = config_get(r.set);
	const struct config_route *b = &c->routes[0], *a = &c->routes[1];

	ck_assert_msg(r.code == 0, "%s", r.why);
	ck_assert_uint_eq(c->n_routes, 2);
	ck_assert_str_eq(b->pattern, "b");
	ck_assert_str_eq(b->class, "room");
	ck_assert_ptr_null(b->module);
	ck_assert(!b->public);
	ck_assert_uint_eq(b->line, 1);
	ck_assert_uint_eq(b->n_rates, 1);
	ck_assert_str_eq(b->rates[0].event, "e");
	ck_assert_uint_eq(b->rates[0].rate.count, 3);
	ck_assert_uint_eq(b->rates[0].rate.period_ms, 60000);
	ck_assert_str_eq(a->pattern, "a");
	ck_assert_ptr_null(a->class);
	ck_assert_str_eq(a->module, "m");
	ck_assert(a->public);
	ck_assert_uint_eq(a->line, 5);
	ck_assert_uint_eq(a->n_options, 2);
	ck_assert_str_eq(a->options[0].name, "events");
	ck_assert_str_eq(a->options[0].value, "p,q");
	ck_assert_str_eq(a->options[1].name, "o");
	ck_assert_str_eq(a->options[1].value, "1");
	ck_assert_uint_eq(c->n_rates, 2);
	ck_assert_str_eq(c->rates[0].event, "x");
	ck_assert_str_eq(c->rates[1].event, "w");
	ck_assert_uint_eq(c->n_keys, 2);
	ck_assert_str_eq(c->keys[0].kid, "k2");
	ck_assert_ptr_null(c->keys[0].alg);
	ck_assert_str_eq(c->keys[1].alg, "ES256");
	done(&r);
}
END_TEST

START_TEST(refuses_nul)
{
	static const char  text[] = "listen = a\0b\n";
	struct config_set *set = config_set_new();
	char		  *why = NULL;

	ck_assert_int_eq(config_text_read(set, "F", slice(text, sizeof(text) - 1), &why), 78);
	ck_assert_str_eq(why, "F:1: a control character");
	free(why);
	config_free(set);
}
END_TEST

static const struct {
	const char *path;
	const char *why;
} bad_paths[] = {
	{ "/nonexistent/roost.conf", "/nonexistent/roost.conf: No such file or directory" },
	{ "/", "/: Is a directory" },
	{ "/dev/zero", "/dev/zero: File too large" },
};

START_TEST(refuses_path)
{
	autofree char *flag = xasprintf("-c %s", bad_paths[_i].path);
	autofree char *variable = xasprintf("ROOST_CONFIG=%s", bad_paths[_i].path);

	ck_refused(&(struct load){ .flags = flag }, 78, bad_paths[_i].why);
	ck_refused(&(struct load){ .env = variable }, 78, bad_paths[_i].why);
}
END_TEST

/* Flags and variables. */

static const struct {
	const char *flags;
	const char *env;
	int	    code;
	const char *why;
} bad_words[] = {
	{ "-x", "", 2, "unknown flag '-x'" },
	{ "-vx", "", 2, "unknown flag '-x'" },
	{ "--wrokers 3", "", 2, "unknown flag '--wrokers', did you mean '--workers'?" },
	{ "--wrokers=3", "", 2, "unknown flag '--wrokers', did you mean '--workers'?" },
	{ "--zzzzzz", "", 2, "unknown flag '--zzzzzz'" },
	{ "--auth-secret x", "", 2, "unknown flag '--auth-secret'" },
	{ "--dev=yes", "", 2, "--dev takes no argument" },
	{ "-w", "", 2, "-w needs an argument" },
	{ "-v --workers", "", 2, "--workers needs an argument" },
	{ "start", "", 2, "unexpected argument 'start'" },
	{ "-v start -v", "", 2, "unexpected argument 'start'" },
	{ "-o limits.max_topic", "", 2, "-o limits.max_topic: expected NAME=VALUE" },
	{ "-o limits.max_topik=1", "", 2,
	  "-o: unknown option 'limits.max_topik', did you mean 'limits.max_topic'?" },
	{ "-o max_topic=1", "", 2, "-o: unknown option 'max_topic', did you mean 'limits.max_topic'?" },
	{ "-o pong_timeout=1", "", 2,
	  "-o: unknown option 'pong_timeout', did you mean 'websocket.pong_timeout'?" },
	{ "-o =1", "", 2, "-o: unknown option ''" },
	{ "-o qqqqqqqqqq=1", "", 2, "-o: unknown option 'qqqqqqqqqq'" },
	{ "-o auth.secret=hush", "", 2, "-o auth.secret: ps would show it; use ROOST_AUTH_SECRET or a file" },
	{ "-o redis.password=hush", "", 2, "-o redis.password: ps would show it; use ROOST_REDIS_PASSWORD or a file" },
	{ "-o limits.max_message=big", "", 78,
	  "-o limits.max_message: expected a size such as 64k or 1m, got 'big'" },
	{ "-w many", "", 78, "-w: expected a whole number, got 'many'" },
	{ "--workers 0", "", 78, "-w: expected 1 to 256, got '0'" },
	{ "-l 4000", "", 78, "-l: expected HOST:PORT, [V6]:PORT or unix:PATH, got '4000'" },
	{ "--log-format xml", "", 78, "--log-format: expected text or json, got 'xml'" },
	{ "-o listen=127.0.0.1:1,,127.0.0.1:2", "", 78, "-o listen: expected no empty element, got ''" },
	{ "", "ROOST_LIMITS_MAX_MESSAGE=big", 78,
	  "ROOST_LIMITS_MAX_MESSAGE: expected a size such as 64k or 1m, got 'big'" },
	{ "", "ROOST_LISTEN=4000", 78, "ROOST_LISTEN: expected HOST:PORT, [V6]:PORT or unix:PATH, got '4000'" },
	{ "", "ROOST_SERVER_WORKERS=", 78, "ROOST_SERVER_WORKERS: expected a whole number, got ''" },
	{ "", "ROOST_LIMITS_MAX_TOPIK=1", 78,
	  "unknown variable 'ROOST_LIMITS_MAX_TOPIK', did you mean 'ROOST_LIMITS_MAX_TOPIC'?" },
	{ "", "ROOST_LITSEN=1", 78, "unknown variable 'ROOST_LITSEN', did you mean 'ROOST_LISTEN'?" },
	/* what only together is wrong */
	{ "-w 4", "", 78,
	  "-w: server.workers = 4 needs a broker to join the workers: set redis.url, or use one worker" },
	{ "-r localhost", "", 78, "-r: redis.url: expected redis://HOST, rediss://HOST or unix:/PATH" },
	{ "-w 4", "ROOST_REDIS_URL=http://localhost", 78,
	  "ROOST_REDIS_URL: redis.url: expected redis://HOST, rediss://HOST or unix:/PATH" },
	{ "-o cluster.timeout=2s", "", 78,
	  "-o cluster.timeout: cluster.timeout = 2s is less than three times cluster.heartbeat = 1s" },
	{ "--tls-cert a", "", 78, "--tls-cert: tls.cert needs tls.key, its private key" },
	{ "--tls-key a", "", 78, "--tls-key: tls.key needs tls.cert, its certificate" },
	{ "-l 127.0.0.1:443,tls", "", 78,
	  "-l: listen: 127.0.0.1:443,tls needs a certificate: set tls.cert and tls.key" },
	{ "--dev -l 0.0.0.0:1", "", 78,
	  "-l: listen: 0.0.0.0:1 is not a loopback address, as server.dev (--dev) demands" },
	{ "--dev -l *:1", "", 78, "-l: listen: *:1 is not a loopback address, as server.dev (--dev) demands" },
	{ "--dev --admin-listen 10.0.0.1:1", "", 78,
	  "--admin-listen: admin.listen: 10.0.0.1:1 is not a loopback address, as server.dev (--dev) demands" },
	{ "-l none", "", 78, "-l: listen: expected HOST:PORT, [V6]:PORT or unix:PATH, got 'none'" },
	{ "--admin-listen none --admin-listen 127.0.0.1:1", "", 78,
	  "--admin-listen: admin.listen: expected HOST:PORT, [V6]:PORT or unix:PATH, got 'none'" },
	{ "-o listen=", "", 78, "-o listen: listen: expected an address at least" },
	{ "-l 127.0.0.1:1 -l localhost:1,proxy", "", 78, "-l: listen: localhost:1,proxy is there twice" },
	{ "-l 127.0.0.1:4001", "", 78, "admin.listen: 127.0.0.1:4001 is there twice" },
	{ "-o http.max_target=32k", "", 78,
	  "-o http.max_target: http.max_target = 32k is more than http.max_head = 16k" },
	{ "-o drain.time=1s", "", 78, "drain.delay = 2s is longer than drain.time = 1s" },
	{ "-o drain.delay=1m", "", 78, "-o drain.delay: drain.delay = 1m is longer than drain.time = 30s" },
	{ "-o authorize.secret_file=/k", "ROOST_AUTHORIZE_SECRET=hush", 78,
	  "ROOST_AUTHORIZE_SECRET: authorize.secret and authorize.secret_file are both set: one of them is the secret" },
	{ "-k /k", "ROOST_AUTH_SECRET=hush", 78,
	  "ROOST_AUTH_SECRET: auth.secret and auth.key_file are both set: one of them is the key" },
};

START_TEST(refuses_words)
{
	ck_refused(&(struct load){ .flags = bad_words[_i].flags, .env = bad_words[_i].env }, bad_words[_i].code,
	    bad_words[_i].why);
}
END_TEST

static const struct {
	const char *flags;
	const char *env;
	const char *line;
} good_words[] = {
	{ "-w 1", "", "server.workers = 1   # -w" },
	{ "--workers=1", "", "server.workers = 1   # -w" },
	{ "-l 127.0.0.1:1", "", "listen = { \"127.0.0.1:1\" }   # -l" },
	{ "-l 127.0.0.1:1 --listen [::1]:2,proxy", "", "listen = { \"127.0.0.1:1\", \"[::1]:2,proxy\" }   # -l" },
	{ "-l 127.0.0.1:1 -o listen=[::1]:2,proxy,[::1]:3", "",
	  "listen = { \"[::1]:2,proxy\", \"[::1]:3\" }   # -o listen" },
	{ "-o listen=127.0.0.1:1 -l 127.0.0.1:2", "", "listen = { \"127.0.0.1:1\", \"127.0.0.1:2\" }   # -l" },
	{ "--tls-cert c --tls-key k -l unix:/s,tls", "", "tls.cert = \"c\"   # --tls-cert" },
	{ "-o listen=127.0.0.1:1,proxy,tls,127.0.0.1:2,tls,proxy --tls-cert c --tls-key k", "",
	  "listen = { \"127.0.0.1:1,proxy,tls\", \"127.0.0.1:2,tls,proxy\" }   # -o listen" },
	{ "-v", "", "log.level = debug   # -v" },
	{ "-vv", "", "log.level = debug   # -v" },
	{ "-v -o log.level=error", "", "log.level = error   # -o log.level" },
	{ "-r redis://me:sesame@h:1/2", "", "redis.url = \"redis://me:(set)@h:1/2\"   # -r" },
	{ "-r redis://h:1", "", "redis.url = \"redis://h:1\"   # -r" },
	{ "-r unix:/a:b@c", "", "redis.url = \"unix:/a:b@c\"   # -r" },
	{ "-n node-1", "", "node.id = \"node-1\"   # -n" },
	{ "-k /key", "", "auth.key_file = \"/key\"   # -k" },
	{ "-u nobody", "", "server.user = \"nobody\"   # -u" },
	{ "--pid-file /p", "", "server.pid_file = \"/p\"   # --pid-file" },
	{ "--log-format json", "", "log.format = json   # --log-format" },
	{ "--admin-listen none", "", "admin.listen = { \"none\" }   # --admin-listen" },
	{ "--dev", "", "server.dev = yes   # --dev" },
	{ "--dev -l unix:/s -l [::1]:1 -l localhost:2", "", "server.dev = yes   # --dev" },
	{ "-o origins=https://a,https://b", "", "origins = { \"https://a\", \"https://b\" }   # -o origins" },
	{ "-o origins=", "ROOST_ORIGINS=https://a", "origins = {}   # -o origins" },
	{ "-o auth.issuer=a=b", "", "auth.issuer = \"a=b\"   # -o auth.issuer" },
	{ "-o default_routes=no", "", "default_routes = no   # -o default_routes" },
	{ "", "ROOST_LIMITS_MAX_TOPIC=9", "limits.max_topic = 9   # ROOST_LIMITS_MAX_TOPIC" },
	{ "", "ROOST_LISTEN=127.0.0.1:1,proxy,127.0.0.1:2",
	  "listen = { \"127.0.0.1:1,proxy\", \"127.0.0.1:2\" }   # ROOST_LISTEN" },
	{ "-l 127.0.0.1:3", "ROOST_LISTEN=127.0.0.1:1", "listen = { \"127.0.0.1:3\" }   # -l" },
	{ "", "ROOST_DEFAULT_ROUTES=off", "default_routes = no   # ROOST_DEFAULT_ROUTES" },
	{ "", "ROOST_CONFIG= ROOST_PORT=tcp://10.0.0.1:80 ROOST_SERVICE_HOST=10.0.0.1 ROOST_=1 XROOST_LISTEN=1",
	  "listen = { \"127.0.0.1:4000\" }   # default" },
};

START_TEST(takes_words)
{
	struct result r = load(&(struct load){ .flags = good_words[_i].flags, .env = good_words[_i].env });

	ck_assert_msg(r.code == 0, "%s", r.why);
	ck_dumped(&r, good_words[_i].line);
	done(&r);
}
END_TEST

static const struct {
	const char	  *flags;
	enum config_action action;
} actions[] = {
	{ "", CONFIG_RUN }, { "-v", CONFIG_RUN }, { "-T", CONFIG_CHECK }, { "--check-config", CONFIG_CHECK },
	{ "--dump", CONFIG_DUMP }, { "-V", CONFIG_VERSION }, { "--version", CONFIG_VERSION }, { "-h", CONFIG_HELP },
	{ "--help", CONFIG_HELP }, { "-w many -h", CONFIG_HELP }, { "-V -x", CONFIG_VERSION },
	{ "-c /nonexistent -V", CONFIG_VERSION },
};

START_TEST(knows_actions)
{
	struct result r = load(&(struct load){ .flags = actions[_i].flags });

	ck_assert_int_eq(r.code, 0);
	ck_assert_int_eq(r.action, actions[_i].action);
	ck_assert_int_eq(r.set != NULL, r.action != CONFIG_VERSION && r.action != CONFIG_HELP);
	done(&r);
}
END_TEST

/* getopt keeps its place, in a cluster of flags too. */
START_TEST(begins_afresh)
{
	struct result r = load(&(struct load){ .flags = "-vxvvv" });

	ck_assert_int_eq(r.code, 2);
	done(&r);
	r = load(&(struct load){ .flags = "-n a" });
	ck_assert_msg(r.code == 0, "%s", r.why);
	ck_dumped(&r, "node.id = \"a\"   # -n");
	done(&r);
}
END_TEST

/* Names. */

static const struct {
	const char *a;
	const char *b;
	unsigned    want;
} distances[] = {
	{ "", "", 0 }, { "", "abc", 3 }, { "abc", "", 3 }, { "abc", "abc", 0 }, { "abc", "abd", 1 }, { "abc", "ab", 1 },
	{ "abc", "xabc", 1 }, { "ab", "ba", 1 }, { "listen", "litsen", 1 }, { "kitten", "sitting", 3 }, { "abcd", "badc", 2 },
	{ "ca", "abc", 3 }, { "flaw", "lawn", 2 },
};

START_TEST(measures_distance)
{
	struct slice a = slice_str(distances[_i].a), b = slice_str(distances[_i].b);

	ck_assert_uint_eq(config_distance(a, b), distances[_i].want);
	ck_assert_uint_eq(config_distance(b, a), distances[_i].want);
}
END_TEST

/* Who wins. */

static const struct {
	const char *file;
	const char *env;
	const char *flags;
	uint64_t    want;
} precedence[] = {
	{ "", "", "", 256 },
	{ "limits { max_topic = 1 }", "", "", 1 },
	{ "", "ROOST_LIMITS_MAX_TOPIC=2", "", 2 },
	{ "limits { max_topic = 1 }", "ROOST_LIMITS_MAX_TOPIC=2", "", 2 },
	{ "", "", "-o limits.max_topic=3", 3 },
	{ "limits { max_topic = 1 }", "", "-o limits.max_topic=3", 3 },
	{ "", "ROOST_LIMITS_MAX_TOPIC=2", "-o limits.max_topic=3", 3 },
	{ "limits { max_topic = 1 }", "ROOST_LIMITS_MAX_TOPIC=2",
	  "-o limits.max_topic=3 -o limits.max_topic=4", 4 },
};

START_TEST(later_wins)
{
	struct result r = load(&(struct load){ precedence[_i].file, precedence[_i].flags, precedence[_i].env });

	ck_assert_msg(r.code == 0, "%s", r.why);
	ck_assert_uint_eq(config_get(r.set)->max_topic, precedence[_i].want);
	done(&r);
}
END_TEST

START_TEST(config_variable_names_the_file)
{
	struct file    f = file_make("limits { max_topic = 1 }");
	struct file    other = file_make("limits { max_topic = 2 }");
	autofree char *variable = xasprintf("ROOST_CONFIG=%s", f.path);
	autofree char *flag = xasprintf("-c %s", other.path);
	struct result  r = load(&(struct load){ .env = variable });

	ck_assert_uint_eq(config_get(r.set)->max_topic, 1);
	done(&r);
	r = load(&(struct load){ .env = variable, .flags = flag });
	ck_assert_uint_eq(config_get(r.set)->max_topic, 2);
	done(&r);
	close(f.fd);
	close(other.fd);
}
END_TEST

/* Lists have bounds. */
START_TEST(bounds_lists)
{
	autobuf struct buf text = { 0 };

	buf_add_str(&text, "listen = { '127.0.0.1:1'");
	for (unsigned i = 2; i <= 17; i++)
		buf_addf(&text, ",\n'127.0.0.1:%u'", i);
	buf_add(&text, " }", 3);
	ck_refused(&(struct load){ .file = text.p }, 78,
	    "FILE:17: listen: expected at most 16 addresses, got '127.0.0.1:17'");
	text.n = 0;
	buf_add_str(&text, "origins = { a");
	for (unsigned i = 1; i <= 256; i++)
		buf_add_str(&text, ",\na");
	buf_add(&text, " }", 3);
	ck_refused(&(struct load){ .file = text.p }, 78, "FILE:257: origins: expected at most 256 elements, got 'a'");
}
END_TEST

/* What somebody wrote is cut and cleaned before it is said again. */
START_TEST(cleans_messages)
{
	char	      flags[128] = "-o log.level=\033[31m", *at = flags + strlen(flags);
	struct result r;

	memset(at, 'x', 90);
	r = load(&(struct load){ .flags = flags });
	ck_assert_int_eq(r.code, 78);
	ck_assert_ptr_null(strchr(r.why, '\033'));
	ck_assert_ptr_nonnull(strstr(r.why, "got '?[31mxxx"));
	ck_assert_ptr_nonnull(strstr(r.why, "xxx...'"));
	done(&r);
}
END_TEST

/* Secrets. */

START_TEST(hides_secrets)
{
	static const struct load loads[] = {
		{ .env = "ROOST_AUTH_SECRET=hush-hush" },
		{ .file = "auth { secret = 'hush-hush' }" },
	};
	struct result  r = load(&loads[_i]);
	autofree char *text = NULL;

	ck_assert_msg(r.code == 0, "%s", r.why);
	ck_assert_str_eq(config_get(r.set)->auth_secret, "hush-hush");
	text = dump(r.set);
	ck_assert_ptr_null(strstr(text, "hush"));
	ck_dumped(&r, _i == 0 ? "auth.secret = (set)   # ROOST_AUTH_SECRET" : "auth.secret = (set)   # FILE:1");
	done(&r);
}
END_TEST

static const struct load telling[] = {
	{ .env = "ROOST_AUTH_SECRET=hush\001" },
	{ .flags = "-o auth.secret=hush" },
	{ .flags = "-k /k", .env = "ROOST_AUTH_SECRET=hush" },
	{ .file = "auth { secret = hush secret = hush }" },
	{ .file = "auth { secret = hush, hush }" },
	{ .file = "auth { secret = abc\"hush }" },
	{ .file = "auth { secret = abc hush }" },
	{ .file = "auth { secret = abc 'hush' }" },
	{ .file = "auth { secret = 'abc'hush/=}" },
	{ .file = "auth { secret = \"hush }" },
	{ .file = "auth { secret = { 'hush', 'hush' } }" },
};

START_TEST(keeps_secrets_from_messages)
{
	struct result r = load(&telling[_i]);

	ck_assert_int_ne(r.code, 0);
	ck_assert_ptr_null(strstr(r.why, "hush"));
	done(&r);
}
END_TEST

START_TEST(refuses_secret_in_public_file)
{
	struct file f = file_make("\nauth { secret = hush }");
	char	   *argv[] = { "roostd", "-c", f.path, NULL }, *envp[] = { NULL };
	struct config_set *set;
	enum config_action action;
	char		  *why;

	fchmod(f.fd, 0644);
	ck_assert_int_eq(config_load(3, argv, envp, &set, &action, &why), 78);
	why = without_path(why, f.path);
	ck_assert_str_eq(why, "FILE:2: auth.secret: everybody may read this file: "
	    "take it away from others (chmod o=), or use auth.key_file");
	free(why);
	close(f.fd);
}
END_TEST

/* Reload. */

START_TEST(reloads_the_file_alone)
{
	struct result r = load(&(struct load){ .file = "limits { max_topic = 1 max_channels = 1 max_topics = 1 }",
	    .env = "ROOST_LIMITS_MAX_CHANNELS=2", .flags = "-o limits.max_topics=3" });
	struct config_set *fresh;
	char		  *why;

	file_write(&r.file, "limits { max_topic = 11 max_channels = 11 max_topics = 11 }");
	ck_assert_int_eq(config_reload(r.set, &fresh, &why), 0);
	ck_assert_uint_eq(config_get(fresh)->max_topic, 11);
	ck_assert_uint_eq(config_get(fresh)->max_channels, 2);
	ck_assert_uint_eq(config_get(fresh)->max_topics, 3);
	ck_assert_uint_eq(config_get(r.set)->max_topic, 1);
	done(&r);
	config_free(fresh);
}
END_TEST

/* libconfuse remembers what it was in the midst of; we must not. */
START_TEST(broken_reload_changes_nothing)
{
	static const char *const broken[] = { "listen = \"a", "listen = 'a", "/* a", "limits {", "limits { max_topic = x }",
		"route a { class = room rate b =", "listen = \"\\8\"", "key a {", "auth { issuer = ${" };
	struct result	   r = load(&(struct load){ .file = "limits { max_topic = 1 }" });
	struct config_set *fresh;
	char		  *why;

	for (size_t i = 0; i < COUNT(broken); i++) {
		file_write(&r.file, broken[i]);
		ck_assert_int_eq(config_reload(r.set, &fresh, &why), 78);
		ck_assert_ptr_null(fresh);
		ck_assert_ptr_nonnull(why);
		free(why);
		ck_assert_uint_eq(config_get(r.set)->max_topic, 1);
		file_write(&r.file, "limits { max_topic = 2 }");
		ck_assert_int_eq(config_reload(r.set, &fresh, &why), 0);
		ck_assert_ptr_null(why);
		ck_assert_uint_eq(config_get(fresh)->max_topic, 2);
		config_free(fresh);
	}
	done(&r);
}
END_TEST

static const struct {
	const char *before;
	const char *after;
	const char *stale;
} restarts[] = {
	{ "", "", "" },
	{ "", "limits { max_topic = 1 } log { level = debug } origins = a", "" },
	{ "", "route a { class = room } rate x = 1/s key k { file = f }", "" },
	{ "", "listen = 127.0.0.1:4000", "" },
	{ "", "listen = 127.0.0.1:5000", "listen" },
	{ "", "listen = { 127.0.0.1:4000, '[::1]:4000' }", "listen" },
	{ "", "node { id = n } admin { listen = none } server { dev = yes }",
	  "node.id, server.dev, admin.listen" },
	{ "server { user = a pid_file = b }", "server { user = a }", "server.pid_file" },
};

START_TEST(tells_what_needs_a_restart)
{
	struct result	   r = load(&(struct load){ .file = restarts[_i].before });
	autobuf struct buf names = { 0 }, again = { 0 };
	struct config_set *fresh, *later;
	char		  *why;

	file_write(&r.file, restarts[_i].after);
	ck_assert_int_eq(config_reload(r.set, &fresh, &why), 0);
	config_restart_needed(r.set, fresh, &names);
	ck_assert(slice_is(buf_slice(&names), restarts[_i].stale));
	/* It needs it as long as it has not had it. */
	ck_assert_int_eq(config_reload(fresh, &later, &why), 0);
	config_restart_needed(fresh, later, &again);
	ck_assert(slice_is(buf_slice(&again), restarts[_i].stale));
	done(&r);
	config_free(fresh);
	config_free(later);
}
END_TEST

START_TEST(reload_keeps_what_needs_a_restart)
{
	struct result r = load(&(struct load){ .file = "listen = { '*:443,tls', '*:80' } tls { cert = c key = k }\n"
	    "server { user = u }" });
	struct config_set *fresh;
	char		  *why;

	file_write(&r.file, "limits { max_topic = 1 } server { dev = yes } tls { cert = c2 key = k2 }");
	ck_assert_int_eq(config_reload(r.set, &fresh, &why), 0);
	ck_assert_uint_eq(config_get(fresh)->listen.n, 2);
	ck_assert_str_eq(config_get(fresh)->listen.items[0], "*:443,tls");
	ck_assert(!config_get(fresh)->dev);
	ck_assert_str_eq(config_get(fresh)->user, "u");
	ck_assert_str_eq(config_get(fresh)->tls_cert, "c2");
	ck_assert_uint_eq(config_get(fresh)->max_topic, 1);
	config_free(fresh);
	/* The listener that speaks TLS is still there, the certificate is not. */
	file_write(&r.file, "");
	ck_assert_int_eq(config_reload(r.set, &fresh, &why), 78);
	why = without_path(why, r.file.path);
	ck_assert_str_eq(why, "FILE:1: listen: *:443,tls needs a certificate: set tls.cert and tls.key");
	free(why);
	done(&r);
}
END_TEST

START_TEST(reload_without_file)
{
	struct result	   r = load(&(struct load){ .flags = "-l 127.0.0.1:1 -l 127.0.0.1:2 -v" });
	struct config_set *fresh;
	char		  *why;

	ck_assert_int_eq(config_reload(r.set, &fresh, &why), 0);
	ck_assert_uint_eq(config_get(fresh)->listen.n, 2);
	ck_assert_int_eq(config_get(fresh)->log_level, LOG_DEBUG_);
	done(&r);
	config_free(fresh);
}
END_TEST

/* The table. */

START_TEST(row_is_sound)
{
	const struct config_option *o = &config_options[_i];
	bool			    number = o->type >= CONFIG_NUMBER && o->type <= CONFIG_DURATION;

	for (unsigned i = 0; i < (unsigned)_i; i++)
		ck_assert_str_ne(config_options[i].name, o->name);
	ck_assert_ptr_eq(config_option_find(o->name), o);
	ck_assert_ptr_nonnull(o->value);
	ck_assert_ptr_nonnull(o->help);
	ck_assert_uint_lt(strlen(o->help), 80);
	ck_assert_int_eq(number, o->max > 0);
	ck_assert_uint_le(o->min, o->max);
	ck_assert(o->type != CONFIG_ENUM || o->choices != NULL);
	ck_assert(o->flag == '\0' || o->long_flag != NULL);
	ck_assert_int_eq(o->long_flag != NULL && o->type != CONFIG_BOOL, o->arg != NULL);
	ck_assert_int_eq(o->size == 1, o->type == CONFIG_BOOL || strcmp(o->name, "log.format") == 0);
}
END_TEST

/* Its value, changed by variable and file, comes out of the dump; the text of the default reads back. */
START_TEST(row_round_trips)
{
	const struct config_option *o = &config_options[_i];
	struct result		    r = load(&(struct load){ 0 });
	struct slice		    section = config_option_section(o);
	autobuf struct buf	    value = { 0 }, back = { 0 };
	autofree char		   *text = NULL;
	struct result		    again;

	config_value_text(config_get(r.set), o, &value);
	text = xasprintf("%.*s %s %s = %.*s %s", SLICE_ARG(section), section.n > 0 ? "{" : "", config_option_key(o),
	    SLICE_ARG(buf_slice(&value)), section.n > 0 ? "}" : "");
	again = load(&(struct load){ .file = text });
	ck_assert_msg(again.code == 0, "%s", again.why);
	config_value_text(config_get(again.set), o, &back);
	ck_assert(slice_eq(buf_slice(&value), buf_slice(&back)));
	ck_assert_int_eq(config_origin(again.set, o)->source, CONFIG_FILE);
	done(&r);
	done(&again);
}
END_TEST

/* What is dumped of routes, rates and keys is a file that means the same. */
START_TEST(dump_reads_back)
{
	struct result r = load(&(struct load){ .file =
	    "route \"a'\\\"\\\\b\" { class = room echo = no events = { f, 'g h' } options = { 'x=\"' } rate f = 1/2s }\n"
	    "route c { module = /m events = f } rate 'x y' = 0/s key 'k' { file = 'f g' }" });
	autofree char *first = dump(r.set);
	struct result  again = load(&(struct load){ .file = strstr(first, "\nkey ") });
	autofree char *second = NULL;

	ck_assert_msg(again.code == 0, "%s", again.why);
	first = without_path(first, r.file.path);
	second = without_path(dump(again.set), again.file.path);
	/* But for the line numbers. */
	ck_assert_str_eq(strstr(second, "route \"c"), strstr(first, "route \"c"));
	ck_assert_uint_eq(strcspn(strstr(second, "\nkey "), "#"), strcspn(strstr(first, "\nkey "), "#"));
	ck_assert_str_eq(config_get(again.set)->routes[0].pattern, config_get(r.set)->routes[0].pattern);
	done(&r);
	done(&again);
}
END_TEST

START_TEST(usage_has_all_flags)
{
	char  *text = NULL;
	size_t n;
	FILE  *out = open_memstream(&text, &n);

	config_usage(out);
	fclose(out);
	for (unsigned i = 0; i < config_n_options; i++) {
		const struct config_option *o = &config_options[i];
		autofree char		   *flag = o->long_flag != NULL ? xasprintf("--%s ", o->long_flag) : NULL;

		ck_assert(flag == NULL || (strstr(text, flag) != NULL && strstr(text, o->help) != NULL));
	}
	ck_assert_ptr_nonnull(strstr(text, "--config FILE"));
	ck_assert_ptr_nonnull(strstr(text, "--dump"));
	free(text);
}
END_TEST

/* The sample files and the manual. */

/* A file of the source tree. */
static char *
tree_file(const char *name)
{
	const char	  *srcdir = getenv("srcdir");
	autofree char	  *path = xasprintf("%s/%s", srcdir != NULL ? srcdir : ".", name);
	autobuf struct buf text = { 0 };
	FILE		  *f = fopen(path, "r");
	size_t		   n;

	ck_assert_msg(f != NULL, "%s: %s", path, strerror(errno));
	while ((n = fread(buf_room(&text, 4096), 1, 4096, f)) > 0)
		text.n += n;
	fclose(f);
	return xstrndup(buf_slice(&text).p, text.n);
}

/* Takes "#" away where no blank is behind it: options that are commented out. */
static char *
brought_to_life(const char *text)
{
	autobuf struct buf out = { 0 };
	bool		   fresh_line = true;

	for (const char *p = text; *p != '\0'; p++) {
		bool dead = fresh_line && *p == '#' && p[1] != ' ';

		if (!dead)
			buf_add_char(&out, *p);
		fresh_line = *p == '\n' || (fresh_line && *p == '\t');
	}
	return xstrndup(out.p, out.n);
}

START_TEST(sample_shows_defaults)
{
	autofree char *text = tree_file("etc/roost.conf");
	autofree char *alive = brought_to_life(text);
	struct result  plain = load(&(struct load){ 0 }), asleep = load(&(struct load){ .file = text });
	struct result  awake = load(&(struct load){ .file = alive });

	ck_assert_msg(asleep.code == 0, "%s", asleep.why);
	ck_assert_msg(awake.code == 0, "%s", awake.why);
	ck_assert_uint_eq(config_get(awake.set)->n_routes, 11);
	for (unsigned i = 0; i < config_n_options; i++) {
		const struct config_option *o = &config_options[i];
		autobuf struct buf	    want = { 0 }, got = { 0 };

		ck_assert_int_eq(config_origin(asleep.set, o)->source, CONFIG_DEFAULT);
		ck_assert_msg(config_origin(awake.set, o)->source == CONFIG_FILE, "no %s in etc/roost.conf", o->name);
		config_value_text(config_get(plain.set), o, &want);
		config_value_text(config_get(awake.set), o, &got);
		/* Where it is installed is not known to the sample. */
		if (strcmp(o->name, "dev.pages") != 0)
			ck_assert_msg(slice_eq(buf_slice(&want), buf_slice(&got)), "%s", o->name);
	}
	done(&plain);
	done(&asleep);
	done(&awake);
}
END_TEST

START_TEST(minimal_sample_is_fine)
{
	autofree char *text = tree_file("etc/roost-minimal.conf");
	struct result  r = load(&(struct load){ .file = text });

	ck_assert_msg(r.code == 0, "%s", r.why);
	ck_assert_str_ne(config_get(r.set)->auth_key_file, "");
	done(&r);
}
END_TEST

/* " from MIN to MAX" */
static char *
range_text(const struct config_option *o)
{
	char min[32], max[32];

	if (o->type == CONFIG_NUMBER)
		return xasprintf(" from %llu to %llu", (unsigned long long)o->min, (unsigned long long)o->max);
	if (o->type == CONFIG_SIZE)
		return xasprintf(" from %s to %s", units_size_text(o->min, min, sizeof(min)),
		    units_size_text(o->max, max, sizeof(max)));
	if (o->type == CONFIG_DURATION)
		return xasprintf(" from %s to %s", units_duration_text(o->min, min, sizeof(min)),
		    units_duration_text(o->max, max, sizeof(max)));
	return xstrdup("");
}

/* .It Ic NAME Pq TYPE from MIN to MAX, default VALUE, reload */
START_TEST(manual_has_row)
{
	static const char *const types[] = { "string", "secret", "list", "addresses", "yes or no", "number", "size",
		"duration", "word" };
	const struct config_option *o = &config_options[_i];
	autofree char *text = tree_file("man/roost.conf.5");
	autofree char *range = range_text(o);
	bool	       installed = strcmp(o->name, "dev.pages") == 0;
	const char    *value = installed ? "PKGDATADIR/demo" : o->value[0] != '\0' ? o->value : "empty";
	autofree char *line = xasprintf("\n.It Ic %s Pq %s%s, default %s, %s\n", o->name, types[o->type], range, value,
	    o->reload ? "reload" : "restart");

	ck_assert_msg(strstr(text, line) != NULL, "man/roost.conf.5 lacks: %s", line + 1);
}
END_TEST

START_TEST(manual_has_flag)
{
	const struct config_option *o = &config_options[_i];
	autofree char *text = tree_file("man/roostd.8");
	autofree char *flag = o->long_flag != NULL ? xasprintf("Fl -%s", o->long_flag) : NULL;

	ck_assert_msg(flag == NULL || strstr(text, flag) != NULL, "man/roostd.8 lacks --%s", o->long_flag);
}
END_TEST

Suite *
config_suite(void)
{
	Suite *s = suite_create("config");
	TCase *file = tcase_create("file"), *words = tcase_create("flags and variables");
	TCase *reload = tcase_create("reload"), *table = tcase_create("table");

	tcase_add_test(file, defaults);
	tcase_add_loop_test(file, refuses_file, 0, COUNT(bad_files));
	tcase_add_loop_test(file, takes_file, 0, COUNT(good_files));
	tcase_add_test(file, reads_routes);
	tcase_add_test(file, refuses_nul);
	tcase_add_loop_test(file, refuses_path, 0, COUNT(bad_paths));
	tcase_add_test(file, bounds_lists);
	suite_add_tcase(s, file);
	tcase_add_loop_test(words, refuses_words, 0, COUNT(bad_words));
	tcase_add_loop_test(words, takes_words, 0, COUNT(good_words));
	tcase_add_loop_test(words, knows_actions, 0, COUNT(actions));
	tcase_add_test(words, begins_afresh);
	tcase_add_loop_test(words, measures_distance, 0, COUNT(distances));
	tcase_add_loop_test(words, later_wins, 0, COUNT(precedence));
	tcase_add_test(words, config_variable_names_the_file);
	tcase_add_test(words, cleans_messages);
	tcase_add_loop_test(words, hides_secrets, 0, 2);
	tcase_add_loop_test(words, keeps_secrets_from_messages, 0, COUNT(telling));
	tcase_add_test(words, refuses_secret_in_public_file);
	suite_add_tcase(s, words);
	tcase_add_test(reload, reloads_the_file_alone);
	tcase_add_test(reload, broken_reload_changes_nothing);
	tcase_add_loop_test(reload, tells_what_needs_a_restart, 0, COUNT(restarts));
	tcase_add_test(reload, reload_keeps_what_needs_a_restart);
	tcase_add_test(reload, reload_without_file);
	suite_add_tcase(s, reload);
	tcase_add_loop_test(table, row_is_sound, 0, (int)config_n_options);
	tcase_add_loop_test(table, row_round_trips, 0, (int)config_n_options);
	tcase_add_test(table, dump_reads_back);
	tcase_add_test(table, usage_has_all_flags);
	tcase_add_test(table, sample_shows_defaults);
	tcase_add_test(table, minimal_sample_is_fine);
	tcase_add_loop_test(table, manual_has_row, 0, (int)config_n_options);
	tcase_add_loop_test(table, manual_has_flag, 0, (int)config_n_options);
	suite_add_tcase(s, table);
	return s;
}
