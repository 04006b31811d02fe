/*
 * The process around the daemon.
 */
#include "server/process.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

static void *
openssl_malloc(size_t n, const char *file, int line)
{
	return xmalloc(n);
}

static void *
openssl_realloc(void *p, size_t n, const char *file, int line)
{
	if (n > 0)
		return xrealloc(p, n);
	free(p);
	return NULL;
}

static void
openssl_free(void *p, const char *file, int line)
{
	free(p);
}

/*
 * Before they allocate anything: they live on our reserve, too, and in an emergency do not end in ways of
 * their own.
 */
static void
process_teach_libraries(void)
{
	event_set_mem_functions(xmalloc, xrealloc, free);
	CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free);
}

void
process_prepare(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	umask(077);
	process_teach_libraries();
}

/* NULL in, or "": NULL out. */
static int
find_user(const char *name, struct passwd **pw)
{
	*pw = NULL;
	if (name == NULL || name[0] == '\0')
		return 0;
	errno = 0;
	*pw = getpwnam(name);
	if (*pw == NULL)
		return errno != 0 ? -errno : -ENOENT;
	return 0;
}

int
process_give_log(const char *user)
{
	struct passwd *pw;
	int	       r = find_user(user, &pw);

	return r < 0 || pw == NULL ? r : log_give(pw->pw_uid, pw->pw_gid);
}

int
process_become(const char *user)
{
	struct passwd *pw;
	int	       r = find_user(user, &pw);

	if (r < 0 || pw == NULL)
		return r;
	if (initgroups(pw->pw_name, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
		return -errno;
	/* The way back must be closed. */
	if (pw->pw_uid != 0 && setuid(0) == 0)
		return -EPERM;
	return 0;
}

void
process_harden(void)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int
process_pid_file(const char *path)
{
	char pid[16];
	int  fd, n;

	fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && ftruncate(fd, 0) == 0 && fchmod(fd, 0644) == 0 && write(fd, pid, (size_t)n) == n)
		return fd;
	n = -errno;
	close(fd);
	return n;
}
