/*
 * To be preloaded: the allocations that the test names fail. The page of three numbers in the file $FAIL_PAGE is shared
 * with it, so that it can begin when the daemon serves.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own, by their second names. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

struct page {
	int64_t left;	/* calls until the last one that fails; 0 = none will */
	int64_t run;	/* how many of them fail, the last ones */
	int64_t calls;	/* counted */
};

static struct page *page;

static void __attribute__((constructor))
open_page(void)
{
	const char *file = getenv("FAIL_PAGE");
	int	    fd = file != NULL ? open(file, O_RDWR | O_CLOEXEC) : -1;
	void	   *p = fd >= 0 ? mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (fd >= 0)
		close(fd);
	if (p != MAP_FAILED)
		page = p;
}

static int
fails(void)
{
	if (page == NULL)
		return 0;
	page->calls++;
	if (page->left == 0 || --page->left >= page->run)
		return 0;
	errno = ENOMEM;
	return 1;
}

void *
malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}
