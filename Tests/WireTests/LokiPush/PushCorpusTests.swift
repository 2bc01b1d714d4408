// SPDX-License-Identifier: Apache-2.0
// The public cases of Loki's push API.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

/// The `PushRequest` a case describes by its Go fields.
private func protobuf(_ request: JSONValue) -> [UInt8] {
    var writer = ProtobufWriter()
    for stream in request["Streams"].items {
        writer.message(1) { out in
            out.string(1, stream["Labels"].text)
            for entry in stream["Entries"].items {
                out.message(2) { out in
                    let nanos = Int64(entry["Timestamp"]["unixNs"].text) ?? 0
                    out.message(1) {
                        $0.int64(1, nanos / 1_000_000_000)
                        $0.int32(2, Int32(nanos % 1_000_000_000))
                    }
                    out.string(2, entry["Line"].text)
                    for pair in entry["StructuredMetadata"].items {
                        out.message(3) {
                            $0.string(1, pair["Name"].text)
                            $0.string(2, pair["Value"].text)
                        }
                    }
                }
            }
        }
    }
    return writer.bytes
}

/// Total of an object of numbers.
private func total(_ value: JSONValue) -> Int {
    value.members.compactMap { Int($0.value.text) }.reduce(0, +)
}

@Test func pushesOfThePublicCases() throws {
    guard let file = Corpora.file("logql/wire/push-requests.json") else { return }
    var failures: [String] = []
    var count = 0
    for item in try JSONValue(parsing: file).items {
        let headers = "\(item["contentType"].text) \(item["contentEncoding"].text)"
        let body = item["body"]
        // Content types and encodings are the server's.
        let isPlainJSON =
            headers.hasPrefix("application/json ")
            || headers.hasPrefix("application/json; charset=")
        let isOurs =
            item["contentEncoding"].text != "snappy"
            && (isPlainJSON || body.has("snappy"))
        guard isOurs else { continue }
        let decoded: DecodedLogs?
        let request = body["snappy"]["protobuf"]
        if !request.isNull {
            decoded = try? decodePushProtobuf(protobuf(request))
        } else {
            let text =
                [body["gzip"], body["deflate"], body].map(\.text).first { !$0.isEmpty } ?? ""
            // A time that the reference's test computes.
            let marker = "{'call': 'time.Now().UnixNano', 'args': []}"
            decoded = try? decodePushJSON(replace(marker, by: "1570818238000000000", in: text))
        }
        count += 1
        let isValid = item["valid"] == .bool(true)
        guard let decoded, decoded.errors.isEmpty else {
            if isValid { failures.append("refused: \(headers) \(body)") }
            continue
        }
        guard isValid else {
            failures.append("accepted: \(headers) \(body)")
            continue
        }
        var batch = decoded.batch
        if item["enableServiceDiscovery"] == .bool(true) {
            var enrichment = LogEnrichment()
            enrichment.detectsLevel = false
            enrichment.apply(to: &batch)
        }
        let labels = batch.streams.map { batch.arena.labels($0) }
        let expected = item["expectedLabels"].items.map { object in
            Labels(
                object.members.map {
                    let name = $0.name == "LabelServiceName" ? "service_name" : $0.name
                    let value = $0.value.text
                    return (name, value == "ServiceUnknown" ? "unknown_service" : value)
                })
        }
        if labels != expected { failures.append("\(labels), not \(expected)") }
        let metadataBytes = batch.metadata.map { slice in
            Labels(canonical: Array(batch.arena[slice.range])).pairs
                .map { $0.name.utf8.count + $0.value.utf8.count }.reduce(0, +)
        }.reduce(0, +)
        let bytes = batch.lines.map { Int($0.count) }.reduce(metadataBytes, +)
        if bytes != total(item["expectedBytes"]) { failures.append("\(bytes) bytes of \(labels)") }
        if batch.rowCount != total(item["expectedLines"]) { failures.append("lines of \(labels)") }
        if metadataBytes != total(item["expectedStructuredMetadataBytes"]) {
            failures.append("metadata of \(labels)")
        }
    }
    #expect(count > 15)
    #expect(failures == [])
}

private func replace(_ part: String, by other: String, in text: String) -> String {
    guard
        let at = Array(part.utf8).withUnsafeBytes({ needle in
            Array(text.utf8).withUnsafeBytes { find(needle, in: $0) }
        })
    else { return text }
    let bytes = Array(text.utf8)
    return String(
        decoding: bytes[..<at] + Array(other.utf8) + bytes[(at + part.utf8.count)...], as: UTF8.self
    )
}

@Test func decodedStreamsOfThePublicCases() throws {
    guard let file = Corpora.file("logql/wire/decode-push.json") else { return }
    for item in try JSONValue(parsing: file).items {
        let name = item["name"].text
        var json = JSONWriter()
        if item.has("actual") { item["actual"].write(into: &json) }
        let text =
            item.has("actualText")
            ? item["actualText"].text : String(decoding: json.bytes, as: UTF8.self)
        if item["expectedErr"] == .bool(true) {
            #expect(throws: MalformedJSON.self, "\(name)") { try decodePushJSON(text) }
            continue
        }
        let expected = try decodePushProtobuf(
            protobuf(.object([JSONMember(name: "Streams", value: item["expected"])]))
        ).batch
        let found = try decodePushJSON(text).batch
        // White space inside an object kept as text is that of the case's own JSON.
        #expect(
            describe(found).map { $0.filter { $0 != " " } }
                == describe(expected).map { $0.filter { $0 != " " } }, "\(name)")
    }
}
