/*
 * registry_digest: see the header.
 *
 * Theory of operation. The files are one list; a thread takes the next run of
 * it, reads each file in pieces and marks it. Nothing else is shared, and
 * nothing is written to by two. A file that is no plain file (a device would
 * never end) differs from what its package brought.
 *
 * The asking thread only waits and tells how far they are: it is woken when a
 * share of the list is done, and at the end.
 */
#include "doctor/registry_digest.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define PIECE_BYTES ((size_t)256 << 10)
#define RUN_FILES   32 /* taken at once */
#define TELL_RUNS   16 /* runs between two tellings */

struct crew {
    struct registry_file *files;
    size_t count;
    atomic_size_t next, done;
    atomic_uint_least64_t bytes;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    size_t running, runs; /* below the lock */
};

static enum file_state read_file(const struct registry_file *file, struct digest_stream *stream,
                                 char *piece, uint64_t *bytes)
{
    unsigned char digest[DIGEST_BYTES];
    struct stat status;
    _cleanup_(cleanup_close) int fd =
        open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? FILE_MISSING
                                                                     : FILE_UNREADABLE;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return FILE_DIFFERS;
    for (;;) {
        ssize_t len = read(fd, piece, PIECE_BYTES);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0) {
            digest_stream_end(stream, digest);
            return FILE_UNREADABLE;
        }
        if (len == 0)
            break;
        digest_stream_add(stream, str_make(piece, (size_t)len));
        *bytes += (uint64_t)len;
    }
    digest_stream_end(stream, digest);
    return memcmp(digest, file->md5, DIGEST_MD5_BYTES) == 0 ? FILE_SAME : FILE_DIFFERS;
}

static void do_runs(struct crew *crew, struct digest_stream *stream, char *piece)
{
    for (;;) {
        uint64_t bytes = 0;
        size_t at = atomic_fetch_add(&crew->next, RUN_FILES);
        if (at >= crew->count)
            return;
        size_t end = crew->count - at < RUN_FILES ? crew->count : at + RUN_FILES;
        for (size_t i = at; i < end; i++)
            crew->files[i].state = read_file(&crew->files[i], stream, piece, &bytes);
        atomic_fetch_add(&crew->done, end - at);
        atomic_fetch_add(&crew->bytes, bytes);
        pthread_mutex_lock(&crew->lock);
        if (++crew->runs % TELL_RUNS == 0)
            pthread_cond_signal(&crew->moved);
        pthread_mutex_unlock(&crew->lock);
    }
}

static void *work(void *context)
{
    struct crew *crew = context;
    struct digest_stream *stream = NULL;
    char *piece = malloc(PIECE_BYTES);
    bool ready = piece && digest_stream_new(DIGEST_MD5, &stream, NULL) == 0;
    if (ready)
        do_runs(crew, stream, piece);
    digest_stream_free(stream);
    free(piece);
    pthread_mutex_lock(&crew->lock);
    crew->running--;
    pthread_cond_signal(&crew->moved);
    pthread_mutex_unlock(&crew->lock);
    return NULL;
}

static size_t thread_count(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors < 1                      ? 1
           : processors > REGISTRY_THREADS_MAX ? REGISTRY_THREADS_MAX
                                               : (size_t)processors;
}

static struct registry_progress progress_of(struct crew *crew)
{
    return (struct registry_progress){ atomic_load(&crew->done), crew->count,
                                       atomic_load(&crew->bytes) };
}

int registry_digest(struct registry_file *files, size_t count, registry_tell *tell, void *context,
                    struct registry_progress *ret, struct err *err)
{
    struct crew crew = { .files = files,
                         .count = count,
                         .lock = PTHREAD_MUTEX_INITIALIZER,
                         .moved = PTHREAD_COND_INITIALIZER };
    struct digest_stream *first = NULL; /* opens the library before there are threads */
    pthread_t threads[REGISTRY_THREADS_MAX];
    size_t started = 0, wanted = thread_count();
    int r = digest_stream_new(DIGEST_MD5, &first, err);
    if (r < 0)
        return r;
    digest_stream_free(first);
    pthread_mutex_lock(&crew.lock);
    while (started < wanted && pthread_create(&threads[started], NULL, work, &crew) == 0)
        started++;
    crew.running = started;
    while (crew.running) {
        pthread_cond_wait(&crew.moved, &crew.lock);
        struct registry_progress progress = progress_of(&crew);
        if (tell)
            tell(context, &progress);
    }
    pthread_mutex_unlock(&crew.lock);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    *ret = progress_of(&crew);
    if (ret->files < count)
        return err_set(err, ERR_MEMORY, "compare files with their receipts",
                       "there is not enough memory for a thread");
    return 0;
}
