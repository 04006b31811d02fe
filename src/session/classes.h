/*
 * The channel classes that this process knows: the built-in ones, and those that modules brought.
 */
#ifndef SESSION_CLASSES_H
#define SESSION_CLASSES_H

#include <roost/channel.h>

/*
 * Makes a class known. 0, or -EINVAL with *why (static text): wrong ABI, no name, no join or handle_in, or
 * another class has the name. Borrowed for good.
 */
int class_add(const struct channel_class *, const char **why);
/* NULL if there is none of that name. */
const struct channel_class *class_find(const char *name);
/*
 * Loads a module and makes its classes known; a path that was loaded before is fine. Modules stay loaded.
 * Returns the first class, or NULL with *why (caller frees).
 */
const struct channel_class *class_load(const char *path, char **why);

#endif
