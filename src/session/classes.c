/*
 * The registry of channel classes, and the loader of modules.
 */
#include "session/classes.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"

static const struct channel_class **classes;
static unsigned n_classes;

/* Modules by path, so that a reload does not bring their classes twice. */
static struct module {
	char *path;
	const struct channel_class *first;
} *modules;
static unsigned n_modules;

int
class_add(const struct channel_class *class, const char **why)
{
	if (class->abi != ROOST_CHANNEL_ABI)
		*why = "it was built for another version of roost/channel.h";
	else if (class->name == NULL || class->name[0] == '\0')
		*why = "a class has no name";
	else if (class->join == NULL || class->handle_in == NULL)
		*why = "a class lacks join or handle_in";
	else if (class->intercepts != NULL && class->handle_out == NULL)
		*why = "a class intercepts events, but lacks handle_out";
	else if (class_find(class->name) != NULL)
		*why = "a class of that name is there already";
	else {
		classes = xrealloc(classes, (n_classes + 1) * sizeof(*classes));
		classes[n_classes++] = class;
		return 0;
	}
	return -EINVAL;
}

const struct channel_class *
class_find(const char *name)
{
	for (unsigned i = 0; i < n_classes; i++)
		if (strcmp(classes[i]->name, name) == 0)
			return classes[i];
	return NULL;
}

static const struct channel_class *
module_keep(const char *path, const struct channel_class *first)
{
	modules = xrealloc(modules, (n_modules + 1) * sizeof(*modules));
	modules[n_modules++] = (struct module){ xstrdup(path), first };
	return first;
}

/* Every class of the module, or none with *why. */
static const struct channel_class *
module_take(const char *path, const struct channel_class *const *list, char **why)
{
	const char *fault = "it has no classes";
	unsigned    before = n_classes;

	for (unsigned i = 0; list[i] != NULL; i++) {
		if (class_add(list[i], &fault) == 0)
			continue;
		n_classes = before;
		break;
	}
	if (n_classes > before)
		return module_keep(path, list[0]);
	*why = xasprintf("%s: %s", path, fault);
	return NULL;
}

const struct channel_class *
class_load(const char *path, char **why)
{
	const struct channel_class *const *list;
	const struct channel_class	  *first;
	void				  *so;

	for (unsigned i = 0; i < n_modules; i++)
		if (strcmp(modules[i].path, path) == 0)
			return modules[i].first;
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (so == NULL) {
		*why = xasprintf("%s", dlerror());
		return NULL;
	}
	list = dlsym(so, ROOST_MODULE_SYMBOL);
	if (list == NULL)
		*why = xasprintf("%s: it does not define %s", path, ROOST_MODULE_SYMBOL);
	first = list != NULL ? module_take(path, list, why) : NULL;
	if (first == NULL)
		dlclose(so);
	return first;
}
