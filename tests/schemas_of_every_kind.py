"""Schemas of every kind: each keyword of drafts 4 to 2020-12, alone and together, by name.

Steps of `multipleOf` are whole or halves, so that validators that divide in floating point agree.
"""
D4, D6, D7 = (f'http://json-schema.org/draft-0{n}/schema#' for n in (4, 6, 7))
D19, D20 = 'https://json-schema.org/draft/2019-09/schema', 'https://json-schema.org/draft/2020-12/schema'

def closed(required=None, **properties):
    "An object of these properties and no others; all needed unless said."
    return dict(type='object', properties=properties, additionalProperties=False,
                required=list(properties) if required is None else required)

INT, STR, WORD = {'type': 'integer'}, {'type': 'string'}, {'type': 'string', 'pattern': '^[a-z]{1,8}$'}
SMALL = {'type': 'integer', 'minimum': 0, 'maximum': 9}

SCALARS = {
    'anything': True,
    'null': {'type': 'null'},
    'boolean': {'type': 'boolean'},
    'integer': INT,
    'number': {'type': 'number'},
    'string': STR,
    'several_types': {'type': ['string', 'null', 'integer']},
    'enum_mixed': {'enum': ['a', 'ab', 'ü"\\', 1, 12, -3.5, True, None, [1, {'b': []}], {'k': 'v', 'l': {}}]},
    'const_nested': {'const': {'a': [1, 2, {'b': None}], 'c': ''}},
    'enum_beside_type': {'enum': ['x', 3, 'yy', 'zzz'], 'type': 'string', 'minLength': 2},
    'minimum_maximum': {'type': 'integer', 'minimum': -17, 'maximum': 1203},
    'exclusive_bounds': {'type': 'number', 'exclusiveMinimum': -1.5, 'exclusiveMaximum': 2.25},
    'one_sided': {'type': 'number', 'minimum': 0},
    'below_zero': {'type': 'integer', 'exclusiveMaximum': 0},
    'multiple_of': {'type': 'integer', 'multipleOf': 5},
    'multiple_of_seven': {'type': 'integer', 'multipleOf': 7, 'minimum': -70, 'maximum': 700},
    'multiple_of_half': {'type': 'number', 'multipleOf': 0.5, 'minimum': -3, 'maximum': 3},
    'lengths': {'type': 'string', 'minLength': 2, 'maxLength': 5},
    'pattern_length': {'type': 'string', 'pattern': '^[a-z]+$', 'maxLength': 3},
    'pattern_digits': {'type': 'string', 'pattern': r'^\d+$'},
    'pattern_anywhere': {'type': 'string', 'pattern': r'[A-Z]{2}-\d', 'maxLength': 12},
    'pattern_either_end': {'type': 'string', 'pattern': '^a|b$', 'maxLength': 6},
    'pattern_password': {'type': 'string', 'pattern': r'^(?=.*\d)(?=.*[a-z])(?!.*\s).{4,10}$'},
    'pattern_unicode': {'type': 'string', 'pattern': r'^[A-ZÀ-Þ][a-zß-ÿ]{1,6}\u00e9?$'},
    'pattern_escapes': {'type': 'string', 'pattern': r'^[\t\n"\\/]{1,4}$'},
}
FORMATS = {f'format_{name}': {'type': 'string', 'format': name} for name in (
    'date', 'time', 'date-time', 'duration', 'email', 'idn-email', 'hostname', 'idn-hostname', 'ipv4', 'ipv6',
    'uri', 'uri-reference', 'iri', 'iri-reference', 'uuid', 'uri-template', 'json-pointer',
    'relative-json-pointer', 'regex')}
ARRAYS = {
    'array': {'type': 'array'},
    'items': {'type': 'array', 'items': SMALL, 'minItems': 1, 'maxItems': 4},
    'tuple': {'type': 'array', 'prefixItems': [INT, STR, {'type': 'boolean'}], 'items': False, 'minItems': 2},
    'tuple_and_rest': {'type': 'array', 'prefixItems': [WORD], 'items': SMALL, 'minItems': 1, 'maxItems': 5},
    'unique_items': {'type': 'array', 'items': {'enum': ['red', 'green', 'blue', None]}, 'uniqueItems': True,
        'minItems': 2},
    # more than can be remembered
    'unique_numbers': {'type': 'array', 'items': SMALL, 'uniqueItems': True, 'maxItems': 3},
    'contains': {'type': 'array', 'items': SMALL, 'contains': {'const': 7}, 'maxItems': 6},
    'contains_counted': {'type': 'array', 'items': {'type': ['integer', 'boolean']}, 'contains': {'type': 'boolean'},
                         'minContains': 2, 'maxContains': 3, 'maxItems': 6},
    'contains_none': {'type': 'array', 'items': SMALL, 'contains': {'minimum': 5}, 'minContains': 0, 'maxContains': 1},
    'unevaluated_items': {'type': 'array', 'allOf': [{'prefixItems': [INT]}], 'unevaluatedItems': WORD, 'maxItems': 4},
    'nested_arrays': {'type': 'array', 'maxItems': 3, 'items': {'type': 'array', 'maxItems': 2,
        'items': {'type': 'array', 'maxItems': 1}}},
}
OBJECTS = {
    'object': {'type': 'object'},
    'properties': {'type': 'object', 'properties': {'a': INT, 'b': WORD}},
    'closed_object': closed(name=WORD, age=SMALL, email={'type': ['string', 'null'], 'format': 'email'}),
    'optional': closed(['b'], a=SMALL, b=SMALL, c=WORD, d={'type': 'boolean'}),
    'required_undeclared': {'type': 'object', 'properties': {'a': SMALL}, 'required': ['z', 'a'], 'maxProperties': 3},
    'pattern_properties': {'type': 'object', 'patternProperties': {'^n_': INT, '_s$': {'maxLength': 4}},
        'additionalProperties': False,
                           'maxProperties': 1},
    'additional_typed': {'type': 'object', 'properties': {'id': INT}, 'required': ['id'],
        'additionalProperties': WORD, 'maxProperties': 2},
    'property_names': {'type': 'object', 'propertyNames': {'pattern': '^[a-z]{2,4}$', 'not': {'const': 'no'}},
        'maxProperties': 1},
    'property_names_listed': {'type': 'object', 'propertyNames': {'enum': ['x', 'y', 'z']},
        'additionalProperties': SMALL},
    'counted': closed([], **{k: SMALL for k in 'abcdef'}) | {'minProperties': 2, 'maxProperties': 4},
    'counted_open': {'type': 'object', 'properties': {'a': INT}, 'minProperties': 1, 'maxProperties': 1},
    'dependent_required': closed([], card=INT, address=WORD, name=WORD) | {
        'dependentRequired': {'card': ['address', 'name']}},
    'dependent_schemas': closed([], kind={'enum': ['a', 'b']},
        size=INT) | {'dependentSchemas': {'size': {'properties': {'kind': {'const': 'b'}}, 'required': ['kind']}}},
    'unevaluated_properties': {'type': 'object', 'allOf': [{'properties': {'a': SMALL}}], 'properties': {'b': WORD},
        'unevaluatedProperties': False},
    'escaped_keys': closed(**{'a"b': SMALL, 'tab\t': SMALL, 'ü/~': SMALL, '': SMALL}),
    'forbidden_key': {'type': 'object', 'properties': {'a': SMALL, 'b': False}, 'additionalProperties': False},
}
LOGIC = {
    'any_of': {'anyOf': [{'type': 'integer', 'minimum': 5}, WORD, closed(x=SMALL)]},
    'one_of_apart': {'oneOf': [closed(kind={'const': 'circle'}, r=SMALL),
        closed(kind={'const': 'box'}, w=SMALL, h=SMALL)]},
    'one_of_overlap': {'oneOf': [{'type': 'integer', 'minimum': 0, 'maximum': 20},
        {'type': 'integer', 'minimum': 10, 'maximum': 30}]},
    # no opposite of a step
    'one_of_steps': {'type': 'integer', 'minimum': 0, 'maximum': 30, 'oneOf': [{'multipleOf': 3}, {'multipleOf': 5}]},
    'all_of': {'allOf': [{'type': 'object', 'properties': {'a': INT}, 'required': ['a']},
        {'properties': {'a': {'minimum': 3}, 'b': WORD}}],
               'additionalProperties': True, 'maxProperties': 1},
    'not_type': {'not': {'type': ['object', 'array', 'number']}},
    'not_enum': {'type': 'integer', 'minimum': 0, 'maximum': 5, 'not': {'enum': [2, 3]}},
    'not_pattern': {'type': 'string', 'maxLength': 5, 'not': {'pattern': '[aeiou]'}},
    'not_required': {'type': 'object', 'properties': {'a': SMALL, 'b': SMALL}, 'additionalProperties': False,
        'not': {'required': ['a', 'b']}},
    'if_then_else': closed(country={'enum': ['US', 'NL']}, code=STR) | {
        'if': {'properties': {'country': {'const': 'US'}}}, 'then': {'properties': {'code': {'pattern': '^[0-9]{5}$'}}},
        'else': {'properties': {'code': {'pattern': '^[0-9]{4} [A-Z]{2}$'}}}},
    'if_alone': {'type': 'integer', 'minimum': 0, 'maximum': 40, 'if': {'minimum': 20}, 'then': {'multipleOf': 10}},
    'false_branch': {'anyOf': [False, {'type': 'null'}]},
}
REFERENCES = {
    'defs': {'$defs': {'n': SMALL, 'pair': {'type': 'array', 'items': {'$ref': '#/$defs/n'}, 'minItems': 2,
        'maxItems': 2}}, '$ref': '#/$defs/pair'},
    'ref_with_siblings': {'$defs': {'n': {'type': 'integer'}}, '$ref': '#/$defs/n', 'minimum': 10, 'maximum': 99},
    'anchor_and_id': {'$schema': D20, '$id': 'https://example.com/a',
        '$defs': {'b': {'$id': 'b', '$anchor': 'here', 'type': 'boolean'}},
                      'type': 'array', 'prefixItems': [{'$ref': 'b'}, {'$ref': 'b#here'}], 'items': False},
    'linked_list': closed(value=SMALL, next={'anyOf': [{'type': 'null'}, {'$ref': '#'}]}),
    'tree': {'$ref': '#/$defs/node', '$defs': {'node': closed(name=WORD,
        children={'type': 'array', 'maxItems': 2, 'items': {'$ref': '#/$defs/node'}})}},
    'mutual': {'$ref': '#/$defs/a', '$defs': {'a': closed([], b={'$ref': '#/$defs/b'}),
        'b': {'type': 'array', 'maxItems': 1, 'items': {'$ref': '#/$defs/a'}}}},
    'dynamic': {'$schema': D20, '$dynamicAnchor': 'node', 'type': 'object',
        'properties': {'data': SMALL, 'sub': {'$dynamicRef': '#node'}},
                'additionalProperties': False},
}
DRAFTS = {
    'draft4': {'$schema': D4, 'id': 'http://example.com/x', 'type': 'object',
        'definitions': {'p': {'type': 'integer', 'minimum': 0, 'exclusiveMinimum': True}},
               'properties': {'a': {'$ref': '#/definitions/p', 'maximum': -5}}, 'required': [
                   'a'], 'additionalProperties': False},
    'draft6': {'$schema': D6, '$id': 'http://example.com/y', 'type': 'array', 'items': [{'const': 'v'}, INT],
        'additionalItems': {'type': 'boolean'},
               'contains': {'type': 'boolean'}, 'maxItems': 5},
    'draft7': {'$schema': D7, 'type': 'object', 'properties': {'a': SMALL, 'b': SMALL,
        'c': {'contentEncoding': 'base64', 'type': 'string', 'maxLength': 4}},
               'dependencies': {'a': ['b'], 'b': {'required': ['c']}}, 'additionalProperties': False, 'if': {
                   'required': ['a']}, 'then': {'maxProperties': 3}},
    'draft2019': {'$schema': D19, '$recursiveAnchor': True, 'type': 'object',
        'properties': {'n': SMALL, 'sub': {'$recursiveRef': '#'}},
                  'unevaluatedProperties': False, 'dependentRequired': {'sub': ['n']}},
    'annotations': {'title': 'T', 'description': 'D', 'default': 3, 'examples': [4], 'deprecated': False,
        'readOnly': True, 'writeOnly': False,
        '$comment': 'c', 'type': 'string', 'maxLength': 6, 'contentMediaType': 'text/plain',
        'contentEncoding': 'base64', 'contentSchema': {'type': 'integer'}},
}
SCHEMAS = {**SCALARS, **FORMATS, **ARRAYS, **OBJECTS, **LOGIC, **REFERENCES, **DRAFTS}
