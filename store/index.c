#include "store/index.h"

#include <string.h>

/* Where a search went by: the links to the first node that is not before the key, a level each. */
struct path {
    struct index_node **links[INDEX_HEIGHT_MAX];
};

/* Two bits a level, from the middle of the hash: the top ones chose the shard, and keys of one
 * shard or bucket are not to be of one height. */
unsigned index_height(uint64_t hash)
{
    return 1 + (unsigned)__builtin_ctzll(hash >> 20 | 1ull << (2 * INDEX_HEIGHT_MAX - 2)) / 2;
}

const char *index_key(const struct index_node *node)
{
    return (const char *)&node->next[node->height];
}

static size_t node_bytes(unsigned height, size_t key_size)
{
    return sizeof(struct index_node) + height * sizeof(struct index_node *) + key_size;
}

struct index_node *index_node_new(struct pool_thread *thread, uint64_t hash, const void *key,
                                  size_t key_size)
{
    unsigned height = index_height(hash);
    struct index_node *node = pool_get(thread, node_bytes(height, key_size));
    if (!node)
        return NULL;
    node->hash = hash;
    node->references = 1;
    node->key_size = (uint32_t)key_size;
    node->height = height;
    memcpy(&node->next[height], key, key_size);
    return node;
}

void index_node_drop(struct pool_thread *thread, struct index_node *node)
{
    /* as entry_drop: all reads of everybody are done before it is freed */
    if (node && __atomic_sub_fetch(&node->references, 1, __ATOMIC_ACQ_REL) == 0)
        pool_put(thread, node, node_bytes(node->height, node->key_size));
}

void index_init(struct index *index)
{
    pthread_rwlockattr_t writers_first;
    memset(index, 0, sizeof *index);
    pthread_rwlockattr_init(&writers_first);
    pthread_rwlockattr_setkind_np(&writers_first, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&index->lock, &writers_first);
    pthread_rwlockattr_destroy(&writers_first);
}

void index_release(struct index *index, struct pool_thread *thread)
{
    for (struct index_node *node; (node = index->first[0]);) {
        index->first[0] = node->next[0];
        index_node_drop(thread, node);
    }
    pthread_rwlock_destroy(&index->lock);
}

static int key_compare(const struct index_node *node, const void *key, size_t key_size)
{
    size_t common = node->key_size < key_size ? node->key_size : key_size;
    int order = memcmp(index_key(node), key, common);
    return order ? order : (node->key_size > key_size) - (node->key_size < key_size);
}

/*
 * The first node at (past, with `after`) the key, or NULL. A link of a level leads on to the node's
 * array of links, so that one pointer, `links`, is both where we are and what a change goes to.
 */
static struct index_node *index_seek(struct index *index, const void *key, size_t key_size,
                                     int after, struct path *path)
{
    struct index_node **links = index->first, *seen = NULL;
    for (unsigned level = INDEX_HEIGHT_MAX; level-- > 0;) {
        for (struct index_node *node; (node = links[level]) && node != seen;) {
            if (key_compare(node, key, key_size) >= after) {
                seen = node; /* the levels below come to it again */
                break;
            }
            links = node->next;
        }
        if (path)
            path->links[level] = &links[level];
    }
    return links[0];
}

void index_insert(struct index *index, struct index_node *node)
{
    struct path path;
    pthread_rwlock_wrlock(&index->lock);
    index_seek(index, index_key(node), node->key_size, 0, &path);
    for (unsigned level = 0; level < node->height; level++) {
        node->next[level] = *path.links[level];
        *path.links[level] = node;
    }
    pthread_rwlock_unlock(&index->lock);
}

struct index_node *index_remove(struct index *index, const void *key, size_t key_size)
{
    struct path path;
    pthread_rwlock_wrlock(&index->lock);
    struct index_node *node = index_seek(index, key, key_size, 0, &path);
    if (node && key_compare(node, key, key_size) == 0)
        for (unsigned level = 0; level < node->height; level++)
            *path.links[level] = node->next[level];
    else
        node = NULL;
    pthread_rwlock_unlock(&index->lock);
    return node;
}

size_t index_collect(struct index *index, const void *key, size_t key_size, int after,
                     struct index_node **out, size_t limit)
{
    size_t n = 0;
    pthread_rwlock_rdlock(&index->lock);
    struct index_node *node = index_seek(index, key, key_size, after, NULL);
    for (; node && n < limit; node = node->next[0]) {
        __atomic_add_fetch(&node->references, 1, __ATOMIC_RELAXED);
        out[n++] = node;
    }
    pthread_rwlock_unlock(&index->lock);
    return n;
}
