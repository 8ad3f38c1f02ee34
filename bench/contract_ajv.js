// contract_ajv: what contract_bench.c does, by ajv.
//
//     contract_ajv.js SCHEMA INSTANCES.jsonl REPEATS    warm: prints {"instances", "valid", "ns"}
//     contract_ajv.js SCHEMA INSTANCE.json              cold: exits 0 where it is valid
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const peers = path.join(__dirname, '../build/peers/node_modules');
const Ajv = require(path.join(peers, 'ajv/dist/2020')).default;

const [schemaPath, instancesPath, repeatsText] = process.argv.slice(2);
const ajv = new Ajv({ strict: false, validateFormats: false });
const validate = ajv.compile(JSON.parse(fs.readFileSync(schemaPath, 'utf8')));
const text = fs.readFileSync(instancesPath, 'utf8');

if (repeatsText === undefined)
  process.exit(validate(JSON.parse(text)) ? 0 : 1);

const repeats = Number(repeatsText);
const instances = text.trimEnd().split('\n').map((line) => JSON.parse(line));

function round() {
  let valid = 0, ns = 0;
  for (const instance of instances) {
    let result = false;
    const begin = process.hrtime.bigint();
    for (let i = 0; i < repeats; i++)
      result = validate(instance);
    ns += Number(process.hrtime.bigint() - begin) / repeats;
    valid += result;
  }
  return { instances: instances.length, valid, ns: ns / instances.length };
}

round(); // lets the engine compile what is hot
console.log(JSON.stringify(round()));
