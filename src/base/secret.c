/*
 * Reading of key files.
 */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static const char *
secret_read_open(struct secret *s, int fd)
{
	struct stat st;
	ssize_t	    n;

	if (fstat(fd, &st) != 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "not a regular file";
	s->mode = st.st_mode & 07777;
	s->p = xmalloc(SECRET_FILE_MAX + 1);
	while ((n = read(fd, s->p + s->n, SECRET_FILE_MAX + 1 - s->n)) > 0)
		s->n += (size_t)n;
	if (n < 0)
		return strerror(errno);
	return s->n > SECRET_FILE_MAX ? "larger than 64 KiB" : NULL;
}

const char *
secret_read(struct secret *s, const char *path)
{
	int	    fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	const char *why;

	*s = (struct secret){ 0 };
	if (fd < 0)
		return errno == ELOOP ? "is a symbolic link" : strerror(errno);
	why = secret_read_open(s, fd);
	close(fd);
	return why;
}

int
secret_read_hidden(struct secret *s, const char *path, char **why)
{
	const char *fault = secret_read(s, path);

	if (fault != NULL)
		*why = xstrdup(fault);
	else if ((s->mode & 0077) != 0)
		*why = xasprintf("readable by others (mode %04o); chmod 600 it", (unsigned)s->mode);
	else
		return 0;
	return -EINVAL;
}

size_t
secret_line_len(const struct secret *s)
{
	return s->n > 0 && s->p[s->n - 1] == '\n' ? s->n - 1 : s->n;
}

void
secret_wipe(char *p, size_t n)
{
	if (p != NULL)
		explicit_bzero(p, n);
	free(p);
}

void
secret_done(struct secret *s)
{
	secret_wipe(s->p, s->n);
	*s = (struct secret){ 0 };
}
