// SPDX-License-Identifier: Apache-2.0
// Scripts against a running server: push in, the query API out.

import Base
import TestKit

/// A server that answers on loopback, with a tenant of its own for each store that a script starts
/// with.
///
/// The server must select tenants by `X-Scope-OrgID`, keep lines of the past and add neither
/// `service_name` nor `detected_level`. Blocks: see `onThread`.
package struct HTTPLogTarget: LogScriptTarget {
    private struct Refusal: Error, CustomStringConvertible { var description: String }
    private let port: Int
    private let name: String
    private var stores = 0

    /// - Parameter name: start of the tenants' names, different for each target of a server.
    package init(port: Int, name: String) {
        self.port = port
        self.name = name
    }

    private var tenant: (String, String) { ("X-Scope-OrgID", "\(name)-\(stores)") }

    package mutating func clear() { stores += 1 }

    package func load(_ loads: [LogScript.Load]) throws {
        var json = JSONWriter()
        json.beginObject()
        json.key("streams")
        json.beginArray()
        for load in loads {
            json.beginObject()
            json.key("stream")
            write(load.stream, into: &json)
            json.key("values")
            json.beginArray()
            for i in 0..<load.count {
                json.beginArray()
                json.string("\(scriptEpochNanos + load.start + Int64(i) * load.step)")
                json.string(load.line(i))
                write(load.metadata, into: &json)
                json.endArray()
            }
            json.endArray()
            json.endObject()
        }
        json.endArray()
        json.endObject()
        let reply = try exchange(
            port: port, "POST", "/loki/api/v1/push",
            headers: [("Content-Type", "application/json"), tenant], body: json.bytes)
        guard reply.status == 204 else {
            throw Refusal(description: "the load was answered \(reply.status): \(reply.text)")
        }
    }

    private func write(_ pairs: [String: String], into json: inout JSONWriter) {
        json.beginObject()
        for (name, value) in pairs.sorted(by: { $0.key < $1.key }) { json.member(name, value) }
        json.endObject()
    }

    package func query(
        _ text: String, startNanos: Int64, endNanos: Int64, stepNanos: Int64
    ) throws -> LogScriptAnswer {
        let isInstant = stepNanos == 0
        let times =
            isInstant
            ? [("time", "\(startNanos)")]
            : [
                ("start", "\(startNanos)"), ("end", "\(endNanos)"),
                ("step", goDurationText(nanos: stepNanos)),
            ]
        let form = ([("query", text)] + times)
            .map { $0.0 + "=" + percentEncoded($0.1) }.joined(separator: "&")
        let reply = try exchange(
            port: port, "POST", "/loki/api/v1/" + (isInstant ? "query" : "query_range"),
            headers: [("Content-Type", "application/x-www-form-urlencoded"), tenant],
            body: Array(form.utf8))
        // Errors are plain text.
        guard reply.status == 200 else { throw Refusal(description: reply.text) }
        guard let data = try CorpusJSON(parsing: reply.body)["data"], let result = data["result"]
        else { throw Refusal(description: "an answer without a result: \(reply.text)") }
        switch data["resultType"]?.string {
        case "scalar": return .scalar(try number(result.array.last))
        case "vector":
            return .series(
                try result.array.map { (labels($0), [try number($0["value"]?.array.last)]) })
        case "matrix":
            let steps = Int((endNanos - startNanos) / stepNanos) + 1
            return .series(
                try result.array.map { series in
                    var values = [Double?](repeating: nil, count: steps)
                    for point in series["values"]?.array ?? [] {
                        guard let seconds = point.array.first?.double else { continue }
                        // Times are shown in milliseconds.
                        let millis = Int64((seconds * 1000).rounded())
                        let step = (millis * 1_000_000 - startNanos) / stepNanos
                        guard (0..<Int64(steps)).contains(step) else {
                            throw Refusal(description: "a point outside the range: \(seconds)")
                        }
                        values[Int(step)] = try number(point.array.last)
                    }
                    return (labels(series), values)
                })
        case let kind: throw Refusal(description: "resultType \(kind ?? "missing")")
        }
    }

    private func labels(_ series: CorpusJSON) -> [String: String] {
        (series["metric"]?.members ?? [:]).mapValues { $0.string ?? "" }
    }

    private func number(_ json: CorpusJSON?) throws -> Double {
        guard let text = json?.string, let number = parseFloat(text) else {
            throw Refusal(description: "\(String(describing: json)) where a number must be")
        }
        return number
    }
}
