// SPDX-License-Identifier: Apache-2.0
// YAML as JSON, for readers below that know JSON alone.

import Base
import Yams

/// The first document as JSON in which each scalar but null is a string, as it is written; an empty
/// file is null.
///
/// - Throws: `ConfigurationError` for what is no YAML, has a key that is no text or one twice, or
///   grows beyond 64 MiB: a few bytes of aliases can stand for any amount.
func jsonText(ofYAML bytes: [UInt8]) throws -> [UInt8] {
    let root: Node?
    do {
        root = try Yams.compose(yaml: String(decoding: bytes, as: UTF8.self))
    } catch { throw ConfigurationError("not valid YAML: \(error)") }
    var json = JSONWriter()
    guard let root else { return Array("null".utf8) }
    try write(root, depth: 0, into: &json)
    return json.bytes
}

private func write(
    _ node: Node, depth: Int, into json: inout JSONWriter
) throws(ConfigurationError) {
    guard json.bytes.count < 64 << 20, depth < 64 else {
        throw ConfigurationError("the YAML document is too large", line: node.mark?.line)
    }
    if let mapping = node.withMergedKeys.mapping {
        json.beginObject()
        var seen: Set<String> = []
        for (key, value) in mapping {
            guard let name = key.string else {
                throw ConfigurationError("a key is no text", line: key.mark?.line)
            }
            guard seen.insert(name).inserted else {
                throw ConfigurationError("key \"\(name)\" already set", line: key.mark?.line)
            }
            json.key(name)
            try write(value, depth: depth + 1, into: &json)
        }
        json.endObject()
    } else if let sequence = node.sequence {
        json.beginArray()
        for item in sequence { try write(item, depth: depth + 1, into: &json) }
        json.endArray()
    } else if node.null != nil {
        json.null()
    } else {
        json.string(node.scalar?.string ?? "")
    }
}
