// SPDX-License-Identifier: Apache-2.0
// Lists of Zipkin's query API.

import Base

/// Answers of Zipkin's version 2 that hold no spans. Source: openzipkin/zipkin-api
/// `zipkin2-api.yaml`.
package enum ZipkinAnswers {
    /// Names of services or spans, keys or values.
    package static func names(_ names: [String]) -> [UInt8] {
        var json = JSONWriter()
        json.strings(names)
        return json.bytes
    }

    package static func dependencies(_ links: [JaegerAnswers.Dependency]) -> [UInt8] {
        var json = JSONWriter()
        json.beginArray()
        for link in links {
            json.beginObject()
            json.member("parent", link.parent)
            json.member("child", link.child)
            json.key("callCount")
            json.int(Int64(clamping: link.callCount))
            if link.errorCount > 0 {
                json.key("errorCount")
                json.int(Int64(clamping: link.errorCount))
            }
            json.endObject()
        }
        json.endArray()
        return json.bytes
    }
}
