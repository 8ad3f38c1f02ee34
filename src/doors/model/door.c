/*
 * door: see the header.
 *
 * Theory of operation. A loop, a server on it (http_server.h) and the exchanges
 * that the server hands its calls to (exchange.h). Nothing else is here.
 */
#include "doors/model/door.h"

#include "doors/model/exchange.h"
#include "doors/model/http_server.h"

#define STEP_DOOR "open the model door"

struct model_door {
    struct model_door_options options;
    struct loop *loop;
    struct exchanges *exchanges;
    struct http_server *server;
};

int model_door_open(const struct model_door_options *options, struct model_door **ret,
                    struct err *err)
{
    if (options->route_count > MODEL_ROUTES_MAX)
        return err_set(err, ERR_LIMIT, STEP_DOOR, "there are %zu routes, at most %d may be",
                       options->route_count, MODEL_ROUTES_MAX);
    struct model_door *door = calloc(1, sizeof(*door));
    if (!door)
        return err_set(err, ERR_MEMORY, STEP_DOOR, "there is not enough memory");
    door->options = *options;
    int r = loop_new(&door->loop, err);
    if (r == 0)
        r = exchanges_new(&door->options, door->loop, &door->exchanges, err);
    if (r == 0)
        r = http_server_new(door->loop, exchanges_calls(door->exchanges), NULL, &door->server, err);
    if (r < 0)
        model_door_close(door);
    else
        *ret = door;
    return r;
}

void model_door_close(struct model_door *door)
{
    if (!door)
        return;
    if (door->exchanges)
        exchanges_close(door->exchanges);
    http_server_free(door->server);
    exchanges_free(door->exchanges);
    loop_free(door->loop);
    free(door);
}

int model_door_listen(struct model_door *door, int listener, struct err *err)
{
    return http_server_listen(door->server, listener, err);
}

struct loop *model_door_loop(const struct model_door *door)
{
    return door->loop;
}

int model_door_fd(const struct model_door *door)
{
    return loop_fd(door->loop);
}

int64_t model_door_due(const struct model_door *door)
{
    return loop_due(door->loop);
}

void model_door_turn(struct model_door *door)
{
    loop_turn(door->loop);
}

struct model_door_counts model_door_counts(const struct model_door *door)
{
    return exchanges_counts(door->exchanges);
}
