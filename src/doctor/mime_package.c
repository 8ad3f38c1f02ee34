/*
 * mime_package: see the header.
 *
 * Theory of operation. libexpat takes the text apart, and calls back for each
 * element; names come with their namespace. The text is given to it in one
 * piece, so that nothing is read twice.
 *
 * Threats: what an entity stands for may be a thousand times its name, so the
 * first that is declared ends the reading; none is ever fetched. Attributes
 * that a document type declares with a value are looked through at each element,
 * so they are few. Depth and number of elements are counted.
 */
#include "doctor/mime_package.h"

#include <expat.h>

#include "base/lazy.h"

#define STEP       "read a package of MIME types"
#define SEPARATOR  '\n' /* between namespace and name; it stands in neither */
#define NAMESPACE  "http://www.freedesktop.org/standards/shared-mime-info"
#define ROOT       NAMESPACE "\nmime-info"
#define TYPE       NAMESPACE "\nmime-type"
#define UNREADABLE "MANIFEST_UNREADABLE"
#define INCOMPLETE "MANIFEST_INCOMPLETE"

#define EXPAT_FUNCTIONS(X)                                                                         \
    X(XML_ParserCreateNS)                                                                          \
    X(XML_ParserFree)                                                                              \
    X(XML_SetUserData)                                                                             \
    X(XML_SetElementHandler)                                                                       \
    X(XML_SetEntityDeclHandler)                                                                    \
    X(XML_SetAttlistDeclHandler)                                                                   \
    X(XML_StopParser)                                                                              \
    X(XML_Parse)                                                                                   \
    X(XML_GetErrorCode)
LAZY_LIBRARY(xml, "libexpat.so.1", EXPAT_FUNCTIONS)

struct reading {
    XML_Parser parser;
    mime_visit_type *visit;
    void *context;
    size_t depth, elements, attributes;
    bool is_incomplete, has_root;
};

static void stop(struct reading *reading)
{
    (void)xml.XML_StopParser(reading->parser, XML_FALSE);
}

/* The characters of RFC 6838's names: a letter or digit, then some signs too. */
static bool is_type(struct str text)
{
    size_t slash = str_index(text, '/', 0), start = 0;
    if (slash == text.len || text.len > MIME_TYPE_BYTES_MAX)
        return false;
    for (size_t i = 0; i <= text.len; i++) {
        char c = i < text.len ? text.ptr[i] : '/';
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (c == '/' && (i == start || (i != slash && i != text.len)))
            return false; /* an empty name, or a third one */
        if (c == '/')
            start = i + 1;
        else if (!plain && (i == start || !strchr("!#$&-^_.+", c)))
            return false;
    }
    return true;
}

static void begin_element(void *context, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *reading = context;
    struct str type = STR("");
    if (reading->depth++ == MIME_DEPTH_MAX || reading->elements++ == MIME_ELEMENTS_MAX) {
        stop(reading);
        return;
    }
    if (reading->depth == 1) {
        reading->has_root = strcmp(name, ROOT) == 0;
        return;
    }
    if (reading->depth != 2 || strcmp(name, TYPE) != 0)
        return;
    for (size_t i = 0; attributes[i]; i += 2)
        if (strcmp(attributes[i], "type") == 0)
            type = str_from(attributes[i + 1]);
    if (is_type(type))
        reading->visit(reading->context, type);
    else
        reading->is_incomplete = true;
}

static void end_element(void *context, const XML_Char *name)
{
    struct reading *reading = context;
    (void)name;
    reading->depth--;
}

/* NOLINTNEXTLINE: the library's own number of parameters */
static void declare_entity(void *context, const XML_Char *name, int is_parameter,
                           const XML_Char *value, int value_length, const XML_Char *base,
                           const XML_Char *system, const XML_Char *public, const XML_Char *notation)
{
    (void)name, (void)is_parameter, (void)value, (void)value_length;
    (void)base, (void)system, (void)public, (void)notation;
    stop(context);
}

static void declare_attribute(void *context, const XML_Char *element, const XML_Char *name,
                              const XML_Char *type, const XML_Char *value, int is_required)
{
    struct reading *reading = context;
    (void)element, (void)name, (void)type, (void)value, (void)is_required;
    if (reading->attributes++ == MIME_ATTRIBUTES_MAX)
        stop(reading);
}

int mime_package_read(struct str text, mime_visit_type *visit, void *context,
                      const char **ret_fault, struct err *err)
{
    struct reading reading = { .visit = visit, .context = context };
    int r = lazy_load(&xml_library, err);
    if (r < 0)
        return r;
    if (text.len > MIME_PACKAGE_BYTES_MAX) {
        *ret_fault = UNREADABLE;
        return 0;
    }
    reading.parser = xml.XML_ParserCreateNS(NULL, SEPARATOR);
    if (!reading.parser)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    xml.XML_SetUserData(reading.parser, &reading);
    xml.XML_SetElementHandler(reading.parser, begin_element, end_element);
    xml.XML_SetEntityDeclHandler(reading.parser, declare_entity);
    xml.XML_SetAttlistDeclHandler(reading.parser, declare_attribute);
    bool is_read =
        xml.XML_Parse(reading.parser, text.ptr, (int)text.len, XML_TRUE) == XML_STATUS_OK;
    bool is_short = !is_read && xml.XML_GetErrorCode(reading.parser) == XML_ERROR_NO_MEMORY;
    xml.XML_ParserFree(reading.parser);
    if (is_short)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    *ret_fault = !is_read                                     ? UNREADABLE
                 : !reading.has_root || reading.is_incomplete ? INCOMPLETE
                                                              : NULL;
    return 0;
}
