// Holds Kubernetes, Cilium and Istio objects against the schemas that npm has of them, and refuses
// members that the schema does not know, as an API server does that is asked to be strict.
// Usage: node validate.js FOLDER FILE…   (FOLDER has node_modules)
"use strict";
const { createRequire } = require("module");
const fs = require("fs");
const path = require("path");
const load = createRequire(path.join(path.resolve(process.argv[2]), "x.js"));
const yaml = load("yaml");

const groups = {
  "networking.k8s.io/v1": "kubernetes-models/networking.k8s.io/v1",
  "cilium.io/v2": "@kubernetes-models/cilium/cilium.io/v2",
  "networking.istio.io/v1beta1": "@kubernetes-models/istio/networking.istio.io/v1beta1",
  "security.istio.io/v1": "@kubernetes-models/istio/security.istio.io/v1",
};

// A validator looks at what it knows; what it never looks at, the schema does not know.
function watched(value, seen, where) {
  if (value === null || typeof value !== "object") return value;
  return new Proxy(value, {
    get(target, key) {
      if (typeof key === "string") seen.add(where + "/" + key);
      return watched(target[key], seen, where + "/" + String(key));
    },
    ownKeys(target) {
      for (const key of Object.keys(target)) seen.add(where + "/" + key);
      return Reflect.ownKeys(target);
    },
  });
}

function unseen(value, seen, where) {
  if (value === null || typeof value !== "object") return [];
  return Object.keys(value).flatMap((key) =>
    seen.has(where + "/" + key) || Array.isArray(value)
      ? unseen(value[key], seen, where + "/" + key)
      : [where + "/" + key]);
}

function check(object, name) {
  const module = groups[object.apiVersion];
  if (!module) throw new Error(`${name}: no schema of ${object.apiVersion}`);
  const file = path.resolve(process.argv[2], "node_modules", module, object.kind + ".js");
  const Model = require(file)[object.kind];
  const seen = new Set(["/apiVersion", "/kind"]);
  const parts = Object.fromEntries(Object.keys(object).map((key) => {
    seen.add("/" + key);
    return [key, watched(object[key], seen, "/" + key)];
  }));
  Object.assign(new Model(), parts).validate(); // made without them, it does not copy them
  const unknown = unseen(object, seen, "");
  if (unknown.length) throw new Error(`${name}: unknown to the schema: ${unknown.join(", ")}`);
}

for (const name of process.argv.slice(3)) {
  for (const document of yaml.parseAllDocuments(fs.readFileSync(name, "utf8"), { strict: true })) {
    if (document.errors.length) throw document.errors[0];
    const object = document.toJS();
    if (object) check(object, name);
  }
}
