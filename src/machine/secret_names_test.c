#include "machine/secret_names.h"

#include "base/test.h"

static const char *kind_of(const char *name, const char *parent, bool directory)
{
    unsigned number = parent ? secret_parent(str_from(parent)) : 0;
    const struct secret_name *row = secret_name_find(str_from(name), number, directory);
    return row ? row->kind : "none";
}

TEST(names_that_are_secrets)
{
    static const char *const cases[][3] = {
        { ".env", NULL, "env-file" },
        { ".env.local", NULL, "env-file" },
        { ".ENV", NULL, "env-file" },
        { ".envrc", NULL, "env-file" },
        { "id_rsa", NULL, "private-key" },
        { "id_ed25519", NULL, "private-key" },
        { "id_ed25519_sk", NULL, "private-key" },
        { "server.key", NULL, "private-key" },
        { "server.pem", NULL, "private-key" },
        { "a.p12", NULL, "key-store" },
        { "a.PFX", NULL, "key-store" },
        { "a.jks", NULL, "key-store" },
        { "vault.kdbx", NULL, "password-store" },
        { ".netrc", NULL, "password-file" },
        { ".htpasswd", NULL, "password-file" },
        { ".vault_pass", NULL, "password-file" },
        { ".vault_pass.txt", NULL, "password-file" },
        { ".npmrc", NULL, "registry-token" },
        { ".pypirc", NULL, "registry-token" },
        { ".yarnrc.yml", NULL, "registry-token" },
        { "config.json", ".docker", "registry-token" },
        { "credentials", ".aws", "cloud-credential" },
        { "credentials", ".cargo", "registry-token" },
        { "my-service-account-dev.json", NULL, "cloud-credential" },
        { "config", ".kube", "kube-config" },
        { "terraform.tfstate", NULL, "terraform-state" },
        { "terraform.tfvars", NULL, "terraform-state" },
        { ".git-credentials", NULL, "git-credential" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_TEXT(kind_of(cases[i][0], cases[i][1], false), cases[i][2]);
    CHECK_TEXT(kind_of(".ssh", NULL, true), "private-key");
    CHECK_TEXT(kind_of(".azure", NULL, true), "cloud-credential");
}

TEST(names_that_are_none)
{
    static const char *const cases[][2] = {
        { ".env.example", NULL },   { ".env.sample", NULL }, { ".env.template", NULL },
        { ".environment", NULL },   { "env", NULL },         { "id_rsa.pub", NULL },
        { "credentials", NULL },    { "config", NULL },      { "config", ".aws" },
        { "config.json", ".kube" }, { "keys", NULL },        { "pem", NULL },
        { "config.json", NULL },    { "README.md", NULL },   { "", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_TEXT(kind_of(cases[i][0], cases[i][1], false), "none");
    CHECK_TEXT(kind_of(".env", NULL, true), "none"); /* a Python environment, say */
    CHECK_TEXT(kind_of(".ssh", NULL, false), "none");
}

#define TELLS(content, text) secret_content_tells(content, STR(text))

TEST(contents_that_are_secrets)
{
    CHECK(TELLS(SECRET_IF_NPM_TOKEN, "//registry.npmjs.org/:_authToken=npm_abc\n"));
    CHECK(TELLS(SECRET_IF_NPM_TOKEN, "a=b\n_auth = dXNlcjpwYXNz"));
    CHECK(!TELLS(SECRET_IF_NPM_TOKEN, "registry=https://r.example.com\nalways-auth=true\n"));
    CHECK(!TELLS(SECRET_IF_NPM_TOKEN, "//r.example.com/:_authToken=${NPM_TOKEN}\n"));
    CHECK(TELLS(SECRET_IF_NPM_TOKEN, "//r.example.com/:_authToken=${A}\n//s/:_authToken=x\n"));
    CHECK(TELLS(SECRET_IF_NPM_TOKEN, "//r.example.com/:_authToken=${A}tail\n"));
    CHECK(!TELLS(SECRET_IF_NPM_TOKEN, ""));
    CHECK(TELLS(SECRET_IF_YARN_TOKEN, "npmAuthToken: \"abc\"\n"));
    CHECK(!TELLS(SECRET_IF_YARN_TOKEN, "npmAuthToken: \"${TOKEN}\"\nnodeLinker: node-modules\n"));
    CHECK(TELLS(SECRET_IF_PASSWORD, "[pypi]\nusername = __token__\npassword = pypi-abc\n"));
    CHECK(!TELLS(SECRET_IF_PASSWORD, "[pypi]\nusername = ada\npassword =\n"));
    CHECK(TELLS(SECRET_IF_REGISTRY_AUTH, "{\"auths\":{\"r\":{\"auth\":\"dTpw\"}}}"));
    CHECK(!TELLS(SECRET_IF_REGISTRY_AUTH, "{\"auths\":{\"r\":{}},\"credsStore\":\"pass\"}"));
    CHECK(TELLS(SECRET_IF_PRIVATE_MEMBER, "{\"private_key\": \"-----BEGIN\"}"));
    CHECK(!TELLS(SECRET_IF_PRIVATE_MEMBER, "{\"project\": \"x\"}"));
    CHECK(secret_content_tells(SECRET_IF_PASSWORD, str_make("a\0b", 3)));
}

TEST(pem_is_harmless_only_where_all_of_it_is_public)
{
    CHECK(!TELLS(SECRET_IF_NOT_PUBLIC_PEM, "# CA\n-----BEGIN CERTIFICATE-----\nMII\n"));
    CHECK(!TELLS(SECRET_IF_NOT_PUBLIC_PEM, "-----BEGIN PUBLIC KEY-----\nMII\n"));
    CHECK(TELLS(SECRET_IF_NOT_PUBLIC_PEM,
                "-----BEGIN CERTIFICATE-----\nMII\n-----BEGIN RSA PRIVATE KEY-----\nMII\n"));
    CHECK(TELLS(SECRET_IF_NOT_PUBLIC_PEM, "-----BEGIN SOMETHING ELSE-----\nMII\n"));
    CHECK(TELLS(SECRET_IF_NOT_PUBLIC_PEM, "no blocks at all"));
    CHECK(TELLS(SECRET_IF_NOT_PUBLIC_PEM, ""));
}
