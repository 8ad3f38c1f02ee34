/*
 * layer_empty: files by the thousands are removed by some threads.
 *
 * Theory of operation. Folders that wait are descriptors in a short queue. Whoever takes one
 * removes the files in it and gives the folders in it to the queue, or does them himself where it
 * is full. So two never remove from the same folder, which the kernel does one after the other.
 * Threads are started when folders wait. Nothing is followed that is no folder; what cannot be
 * opened or removed is left, and no folder is removed: file_remove_tree does all that.
 */
#include <dirent.h>
#include <pthread.h>

#include "machine/layer.h"

#define DIRENT_BYTES ((size_t)32 << 10)
#define QUEUE_MAX    64
#define THREADS_MAX  4
#define DEPTH_MAX    64

struct crew {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    int waiting[QUEUE_MAX];
    size_t count, working; /* those who may still give more */
    pthread_t threads[THREADS_MAX];
    size_t started, most;
};

static void *work(void *context);

/* False where the queue is full. */
static bool give(struct crew *crew, int folder)
{
    pthread_mutex_lock(&crew->lock);
    bool taken = crew->count < QUEUE_MAX;
    if (taken)
        crew->waiting[crew->count++] = folder;
    bool starts = crew->count > 1 && crew->started < crew->most;
    if (starts && pthread_create(&crew->threads[crew->started], NULL, work, crew) == 0)
        crew->started++;
    else if (starts)
        crew->most = crew->started;
    pthread_cond_signal(&crew->moved);
    pthread_mutex_unlock(&crew->lock);
    return taken;
}

/* The next folder; -1 where none waits and nobody gives any more. */
static int take(struct crew *crew)
{
    int folder = -1;
    pthread_mutex_lock(&crew->lock);
    crew->working--;
    while (!crew->count && crew->working)
        pthread_cond_wait(&crew->moved, &crew->lock);
    if (crew->count) {
        folder = crew->waiting[--crew->count];
        crew->working++;
    } else {
        pthread_cond_broadcast(&crew->moved);
    }
    pthread_mutex_unlock(&crew->lock);
    return folder;
}

static void empty(struct crew *crew, int folder, unsigned depth)
{
    char *dirents = malloc(DIRENT_BYTES);
    ssize_t len;
    while (dirents && (len = getdents64(folder, dirents, DIRENT_BYTES)) > 0) {
        for (ssize_t at = 0; at < len;) {
            const struct dirent64 *entry = (const void *)(dirents + at);
            const char *name = entry->d_name;
            at += entry->d_reclen;
            if (entry->d_type != DT_DIR) {
                (void)!unlinkat(folder, name, 0);
                continue;
            }
            if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                continue;
            _cleanup_(cleanup_close) int inner =
                openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (inner >= 0 && give(crew, inner))
                TAKE_FD(inner);
            else if (inner >= 0 && depth < DEPTH_MAX)
                empty(crew, inner, depth + 1);
        }
    }
    free(dirents);
}

static void *work(void *context)
{
    struct crew *crew = context;
    pthread_mutex_lock(&crew->lock);
    crew->working++;
    pthread_mutex_unlock(&crew->lock);
    for (int folder; (folder = take(crew)) >= 0;) {
        empty(crew, folder, 0);
        close(folder);
    }
    return NULL;
}

void layer_empty(const char *path)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct crew crew = { .lock = PTHREAD_MUTEX_INITIALIZER,
                         .moved = PTHREAD_COND_INITIALIZER,
                         .most = processors > THREADS_MAX ? THREADS_MAX - 1
                                 : processors > 1         ? (size_t)processors - 1
                                                          : 0 };
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return;
    crew.waiting[crew.count++] = folder;
    work(&crew);
    for (size_t i = 0; i < crew.started; i++)
        pthread_join(crew.threads[i], NULL);
}
