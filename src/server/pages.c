/*
 * Static pages. The kernel keeps us inside of the folder: openat2(2) with RESOLVE_BENEATH.
 */
#include "server/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

#define PAGE_MAX_SIZE	(4 * 1024 * 1024)

struct pages {
	int	folder;
};

static const struct {
	const char *suffix;
	const char *type;
} types[] = {
	{ ".html", "text/html; charset=utf-8" },
	{ ".css", "text/css; charset=utf-8" },
	{ ".js", "text/javascript; charset=utf-8" },
	{ ".mjs", "text/javascript; charset=utf-8" },
	{ ".json", "application/json" },
	{ ".svg", "image/svg+xml" },
	{ ".png", "image/png" },
	{ ".ico", "image/x-icon" },
};

struct pages *
pages_open(const char *folder, int *error)
{
	struct pages *p;
	int	      fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

	*error = fd < 0 ? -errno : 0;
	if (fd < 0)
		return NULL;
	p = xmalloc(sizeof(*p));
	p->folder = fd;
	return p;
}

struct pages *
pages_free(struct pages *p)
{
	if (p == NULL)
		return NULL;
	close(p->folder);
	free(p);
	return NULL;
}

static const char *
page_type(const char *path)
{
	size_t n = strlen(path);

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		size_t k = strlen(types[i].suffix);

		if (n > k && strcmp(path + n - k, types[i].suffix) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}

/* Dot files are nobody's business, and so are names with NULs. */
static bool
path_is_clean(struct slice path)
{
	for (size_t i = 0; i < path.n; i++)
		if (path.p[i] == '\0' || (path.p[i] == '.' && (i == 0 || path.p[i - 1] == '/')))
			return false;
	return true;
}

static int
page_fd(const struct pages *p, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, p->folder, path, &how, sizeof(how));
}

static int
page_slurp(int fd, struct buf *out)
{
	struct stat st;
	ssize_t	    n;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > PAGE_MAX_SIZE)
		return -ENOENT;
	while ((n = read(fd, buf_room(out, 64 * 1024), 64 * 1024)) > 0) {
		out->n += (size_t)n;
		if (out->n > PAGE_MAX_SIZE)
			return -ENOENT;
	}
	return n < 0 ? -ENOENT : 0;
}

int
pages_read(const struct pages *p, struct slice path, struct buf *out, const char **type)
{
	bool		is_folder = path.n == 0 || path.p[path.n - 1] == '/';
	autofree char  *name = xasprintf("%.*s%s", SLICE_ARG(path), is_folder ? "index.html" : "");
	int		fd, r;

	out->n = 0;
	if (!path_is_clean(path))
		return -ENOENT;
	fd = page_fd(p, name);
	if (fd < 0)
		return -ENOENT;
	r = page_slurp(fd, out);
	close(fd);
	*type = page_type(name);
	return r;
}
