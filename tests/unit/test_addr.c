/*
 * Addresses: listening addresses and back, literals, peers, networks.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "net/addr.h"

Suite *addr_suite(void);

#define P105	"/23456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345"
#define P107	P105 "67"

enum { ANY = 1, PROXY = 2, TLS = 4, LOOPBACK = 8 };

static const struct {
	const char *in, *out;	/* out NULL = as in */
	int	    family, is;
} listens[] = {
	{ "127.0.0.1:4000", NULL, AF_INET, LOOPBACK },
	{ "127.255.0.1:1", NULL, AF_INET, LOOPBACK },
	{ "0.0.0.0:0", NULL, AF_INET, 0 },
	{ "10.1.2.3:65535", NULL, AF_INET, 0 },
	{ "10.1.2.3:0080", "10.1.2.3:80", AF_INET, 0 },
	{ "localhost:80", "127.0.0.1:80", AF_INET, LOOPBACK },
	{ "*:80", NULL, AF_INET6, ANY },
	{ "[::]:80", NULL, AF_INET6, 0 },
	{ "[::1]:443", NULL, AF_INET6, LOOPBACK },
	{ "[2001:DB8:0:0::7]:443", "[2001:db8::7]:443", AF_INET6, 0 },
	{ "[::ffff:127.0.0.1]:80", "127.0.0.1:80", AF_INET, LOOPBACK },
	{ "127.0.0.1:80,proxy", NULL, AF_INET, PROXY | LOOPBACK },
	{ "10.0.0.1:80,tls", NULL, AF_INET, TLS },
	{ "*:443,tls,proxy", "*:443,proxy,tls", AF_INET6, ANY | PROXY | TLS },
	{ "10.0.0.1:80,tls,tls", "10.0.0.1:80,tls", AF_INET, TLS },
	{ "unix:/run/roost.sock", NULL, AF_UNIX, LOOPBACK },
	{ "unix:r", NULL, AF_UNIX, LOOPBACK },
	{ "unix:/run/a:b.sock,proxy", NULL, AF_UNIX, PROXY | LOOPBACK },
	{ "unix:" P107, NULL, AF_UNIX, LOOPBACK },
	{ "unix:" P107 ",proxy,tls", NULL, AF_UNIX, PROXY | TLS | LOOPBACK },
};

START_TEST(listen_is_read_and_written)
{
	struct addr_listen l, again;
	const char	  *why = NULL, *want = listens[_i].out != NULL ? listens[_i].out : listens[_i].in;
	char		   text[ADDR_LISTEN_LEN];

	ck_assert_int_eq(addr_listen_parse(&l, listens[_i].in, &why), 0);
	ck_assert_ptr_null(why);
	ck_assert_int_eq(l.sa.ss_family, listens[_i].family);
	ck_assert_int_eq(l.any, (listens[_i].is & ANY) != 0);
	ck_assert_int_eq(l.proxy, (listens[_i].is & PROXY) != 0);
	ck_assert_int_eq(l.tls, (listens[_i].is & TLS) != 0);
	ck_assert_int_eq(addr_listen_is_loopback(&l), (listens[_i].is & LOOPBACK) != 0);
	ck_assert_str_eq(addr_listen_text(&l, text), want);
	ck_assert_int_eq(addr_listen_parse(&again, text, &why), 0);
	ck_assert_uint_eq(l.sa_len, again.sa_len);
	ck_assert_mem_eq(&l.sa, &again.sa, sizeof(l.sa));
}
END_TEST

START_TEST(listen_fills_the_socket_address)
{
	struct addr_listen  l;
	struct sockaddr_in  in;
	struct sockaddr_in6 in6;
	struct sockaddr_un  un;
	const char	   *why;

	ck_assert_int_eq(addr_listen_parse(&l, "10.1.2.3:4000", &why), 0);
	memcpy(&in, &l.sa, sizeof(in));
	ck_assert_uint_eq(l.sa_len, sizeof(in));
	ck_assert_uint_eq(ntohl(in.sin_addr.s_addr), 0x0a010203);
	ck_assert_uint_eq(ntohs(in.sin_port), 4000);
	ck_assert_int_eq(addr_listen_parse(&l, "[::1]:4001", &why), 0);
	memcpy(&in6, &l.sa, sizeof(in6));
	ck_assert_uint_eq(l.sa_len, sizeof(in6));
	ck_assert_mem_eq(&in6.sin6_addr, &in6addr_loopback, 16);
	ck_assert_uint_eq(ntohs(in6.sin6_port), 4001);
	ck_assert_int_eq(addr_listen_parse(&l, "unix:/run/x", &why), 0);
	memcpy(&un, &l.sa, sizeof(un));
	ck_assert_str_eq(un.sun_path, "/run/x");
	ck_assert_str_eq(l.path, "/run/x");
}
END_TEST

static const char FORM[] = "expected HOST:PORT, [V6]:PORT or unix:PATH";
static const char HOST[] = "expected an IP address, localhost or * as the host";
static const char PORT[] = "expected a port from 0 to 65535";
static const char FLAG[] = "expected nothing but ,proxy and ,tls behind the address";
static const char PATH[] = "expected a path of 1 to 107 characters behind unix:";
static const char BRACKETS[] = "expected brackets around an IPv6 address: [V6]:PORT";

static const struct {
	const char *in, *why;
} bad_listens[] = {
	{ "", FORM }, { "4000", FORM }, { ":4000", FORM }, { "127.0.0.1", FORM }, { "[::1]", FORM }, { ",tls", FORM },
	{ "127.0.0.1:", PORT }, { "127.0.0.1:65536", PORT }, { "127.0.0.1:-1", PORT }, { "127.0.0.1:+1", PORT },
	{ "127.0.0.1: 80", PORT }, { "127.0.0.1:80 ", PORT }, { "127.0.0.1:0x50", PORT }, { "127.0.0.1:http", PORT },
	{ "127.0.0.1:99999999999999999999", PORT },
	{ "example.org:80", HOST }, { "LOCALHOST:80", HOST }, { "127.1:80", HOST }, { "127.0.0.256:80", HOST },
	{ "127.0.0.01:80", HOST }, { " 127.0.0.1:80", HOST }, { "**:80", HOST }, { "[]:80", HOST }, { "[127.0.0.1]:80", HOST },
	{ "[*]:80", HOST }, { "[::1%lo]:80", HOST }, { "[[::1]]:80", HOST }, { "[1:2:3:4:5:6:7:8:9]:80", HOST },
	{ "[::1:80", BRACKETS }, { "::1:80", BRACKETS }, { "::1]:80", BRACKETS }, { "[::1]:80:90", BRACKETS },
	{ "127.0.0.1:80:90", BRACKETS },
	{ "127.0.0.1:80,", FLAG }, { "127.0.0.1:80,tls,", FLAG }, { "127.0.0.1:80,,tls", FLAG },
	{ "127.0.0.1:80,TLS", FLAG }, { "127.0.0.1:80, tls", FLAG }, { "127.0.0.1:80,tlsx", FLAG },
	{ "unix:/run/a,b.sock", FLAG },
	{ "unix:", PATH }, { "unix:,tls", PATH }, { "unix:" P107 "8", PATH },
};

START_TEST(listen_is_refused)
{
	struct addr_listen l = { .sa_len = 77 };
	const char	  *why = NULL;

	ck_assert_int_eq(addr_listen_parse(&l, bad_listens[_i].in, &why), -EINVAL);
	ck_assert_str_eq(why, bad_listens[_i].why);
	ck_assert_uint_eq(l.sa_len, 77);
}
END_TEST

static const struct {
	const char *in, *out;
	bool	    loopback;
} ips[] = {
	{ "127.0.0.1", "127.0.0.1", true },
	{ "0.0.0.0", "0.0.0.0", false },
	{ "255.255.255.255", "255.255.255.255", false },
	{ "128.0.0.1", "128.0.0.1", false },
	{ "::1", "::1", true },
	{ "::", "::", false },
	{ "2001:db8::2", "2001:db8::2", false },
	{ "::ffff:10.0.0.1", "10.0.0.1", false },
	{ "::ffff:7f00:1", "127.0.0.1", true },
	{ "::10.0.0.1", "::10.0.0.1", false },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false },
};

START_TEST(ip_is_read)
{
	struct addr a;
	char	    text[ADDR_LEN];

	ck_assert_int_eq(addr_parse_ip(&a, slice_str(ips[_i].in)), 0);
	ck_assert_str_eq(addr_host(&a, text), ips[_i].out);
	ck_assert_int_eq(addr_is_loopback(&a), ips[_i].loopback);
	ck_assert_uint_eq(a.port, 0);
}
END_TEST

static const char *const bad_ips[] = {
	"", "1", "1.2.3", "1.2.3.4.5", "1.2.3.4 ", "1.2.3.400", "unix", "[::1]", ":", "1:2:3:4:5:6:7:8:9", "::1::2", "::1%lo",
	"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001",
};

START_TEST(ip_is_refused)
{
	struct addr a;

	ck_assert_int_eq(addr_parse_ip(&a, slice_str(bad_ips[_i])), -EINVAL);
}
END_TEST

START_TEST(ip_is_a_slice_and_not_a_string)
{
	struct addr a;
	char	    text[ADDR_LEN];

	ck_assert_int_eq(addr_parse_ip(&a, slice("10.0.0.123", 8)), 0);
	ck_assert_str_eq(addr_host(&a, text), "10.0.0.1");
	ck_assert_int_eq(addr_parse_ip(&a, slice("10.0.0.1\0", 9)), -EINVAL);
	ck_assert_int_eq(addr_parse_ip(&a, slice(NULL, 0)), -EINVAL);
}
END_TEST

START_TEST(peer_is_told)
{
	struct sockaddr_in  in = { .sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0x7f000001) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(443), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr	    un = { .sa_family = AF_UNIX }, other = { .sa_family = AF_APPLETALK };
	struct addr	    a;
	char		    text[ADDR_LEN];

	addr_from_sockaddr(&a, (struct sockaddr *)&in);
	ck_assert_str_eq(addr_text(&a, text), "127.0.0.1:80");
	ck_assert_str_eq(addr_host(&a, text), "127.0.0.1");
	addr_from_sockaddr(&a, (struct sockaddr *)&in6);
	ck_assert_str_eq(addr_text(&a, text), "[::1]:443");
	ck_assert_str_eq(addr_host(&a, text), "::1");
	ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:10.0.0.1", &in6.sin6_addr), 1);
	addr_from_sockaddr(&a, (struct sockaddr *)&in6);
	ck_assert_int_eq(a.family, AF_INET);
	ck_assert_str_eq(addr_text(&a, text), "10.0.0.1:443");
	addr_from_sockaddr(&a, &un);
	ck_assert_str_eq(addr_text(&a, text), "unix");
	ck_assert_str_eq(addr_host(&a, text), "unix");
	ck_assert(addr_is_loopback(&a));
	addr_from_sockaddr(&a, &other);
	ck_assert_str_eq(addr_text(&a, text), "unknown");
	ck_assert(!addr_is_loopback(&a));
}
END_TEST

START_TEST(longest_peer_fits)
{
	struct addr a = { .family = AF_INET6, .port = 65535 };
	char	    text[ADDR_LEN];

	memset(a.ip, 0xff, sizeof(a.ip));
	ck_assert_str_eq(addr_text(&a, text), "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}
END_TEST

static const struct {
	const char *net, *ip;
	bool	    has;
} nets[] = {
	{ "10.0.0.0/8", "10.0.0.0", true }, { "10.0.0.0/8", "10.255.255.255", true }, { "10.0.0.0/8", "11.0.0.0", false },
	{ "10.9.9.9/8", "10.1.2.3", true }, { "10.0.0.0/8", "::ffff:10.0.0.1", true }, { "10.0.0.0/8", "::1", false },
	{ "172.16.0.0/12", "172.31.255.255", true }, { "172.16.0.0/12", "172.32.0.0", false },
	{ "1.2.3.4", "1.2.3.4", true }, { "1.2.3.4", "1.2.3.5", false }, { "1.2.3.4/32", "1.2.3.4", true },
	{ "1.2.3.4/31", "1.2.3.5", true }, { "1.2.3.4/31", "1.2.3.6", false },
	{ "0.0.0.0/0", "255.1.1.1", true }, { "0.0.0.0/0", "::1", false }, { "0.0.0.0/1", "128.0.0.0", false },
	{ "::/0", "::1", true }, { "::/0", "1.2.3.4", false }, { "::1", "::1", true }, { "::1", "::2", false },
	{ "2001:db8::/32", "2001:db8:ffff::", true }, { "2001:db8::/32", "2001:db9::", false },
	{ "2001:db8::/33", "2001:db8:8000::", false }, { "::ffff:10.0.0.0/104", "10.9.9.9", true },
	{ "::ffff:10.0.0.0/104", "11.0.0.0", false }, { "::ffff:0.0.0.0/96", "11.0.0.0", true },
	{ "unix", "1.2.3.4", false }, { "::1/128", "::1", true }, { "::1/127", "::", true },
};

START_TEST(net_has)
{
	struct addr_net net;
	struct addr	a;

	ck_assert_int_eq(addr_net_parse(&net, slice_str(nets[_i].net)), 0);
	ck_assert_int_eq(addr_parse_ip(&a, slice_str(nets[_i].ip)), 0);
	ck_assert_int_eq(addr_net_has(&net, &a), nets[_i].has);
}
END_TEST

START_TEST(net_of_unix_peers)
{
	struct addr_net net, all4;
	struct addr	peer = { .family = AF_UNIX }, unknown = { 0 };

	ck_assert_int_eq(addr_net_parse(&net, SLICE("unix")), 0);
	ck_assert_int_eq(addr_net_parse(&all4, SLICE("0.0.0.0/0")), 0);
	ck_assert(addr_net_has(&net, &peer));
	ck_assert(!addr_net_has(&all4, &peer));
	ck_assert(!addr_net_has(&net, &unknown));
	ck_assert(!addr_net_has(&(struct addr_net){ 0 }, &unknown));
}
END_TEST

static const char *const bad_nets[] = {
	"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.0/8 ", "::1/129", "::/4294967304",
	"::ffff:10.0.0.0/95", "unix/0", "UNIX", "localhost", "10.0.0.0:80", "[::1]", "*",
};

START_TEST(net_is_refused)
{
	struct addr_net net;

	ck_assert_int_eq(addr_net_parse(&net, slice_str(bad_nets[_i])), -EINVAL);
}
END_TEST

#define ROWS(table)	((int)(sizeof(table) / sizeof((table)[0])))

Suite *
addr_suite(void)
{
	Suite *s = suite_create("addr");
	TCase *t = tcase_create("addr");

	tcase_add_loop_test(t, listen_is_read_and_written, 0, ROWS(listens));
	tcase_add_test(t, listen_fills_the_socket_address);
	tcase_add_loop_test(t, listen_is_refused, 0, ROWS(bad_listens));
	tcase_add_loop_test(t, ip_is_read, 0, ROWS(ips));
	tcase_add_loop_test(t, ip_is_refused, 0, ROWS(bad_ips));
	tcase_add_test(t, ip_is_a_slice_and_not_a_string);
	tcase_add_test(t, peer_is_told);
	tcase_add_test(t, longest_peer_fits);
	tcase_add_loop_test(t, net_has, 0, ROWS(nets));
	tcase_add_test(t, net_of_unix_peers);
	tcase_add_loop_test(t, net_is_refused, 0, ROWS(bad_nets));
	suite_add_tcase(s, t);
	return s;
}
