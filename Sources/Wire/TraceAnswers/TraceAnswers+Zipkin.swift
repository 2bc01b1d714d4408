// SPDX-License-Identifier: Apache-2.0
// Traces in the JSON of Zipkin's version 2.

import Base
import Telemetry

extension TraceAnswers {
    /// Zipkin's list of spans, `/api/v2/trace/{id}`: the spans of a batch in its order.
    ///
    /// Times are microseconds, tags texts. A resource's attributes are tags of each of its spans
    /// behind the span's own; of a key that repeats the first counts. Events are annotations, an
    /// event's attributes follow its name behind `": "` as JSON. Links are tags `otlp.link.N`. A
    /// span with an error has the tag `error`.
    ///
    /// Sources: openzipkin/zipkin-api `zipkin2-api.yaml`; opentelemetry specification,
    /// "OpenTelemetry to Zipkin Transformation".
    package static func zipkinTrace(_ batch: SpanBatch) throws(MalformedBytes) -> [UInt8] {
        var json = JSONWriter(reserving: 2 * batch.arena.count + 512 * batch.rowCount)
        try writeZipkin(batch, &json)
        return json.bytes
    }

    /// Zipkin's list of traces, `/api/v2/traces`: one trace a batch.
    package static func zipkinTraces(_ traces: [SpanBatch]) throws(MalformedBytes) -> [UInt8] {
        var json = JSONWriter(
            reserving: traces.reduce(16) { $0 + 2 * $1.arena.count + 512 * $1.rowCount })
        json.beginArray()
        for trace in traces { try writeZipkin(trace, &json) }
        json.endArray()
        return json.bytes
    }

    private static func writeZipkin(
        _ batch: SpanBatch, _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        // Client and server of one call may share an id: the server's span then says so.
        var clients: Set<SpanID> = []
        for row in 0..<batch.rowCount where batch.kinds[row] == 3 {
            clients.insert(batch.spanIDs[row])
        }
        json.beginArray()
        for row in 0..<batch.rowCount {
            let isShared = batch.kinds[row] == 2 && clients.contains(batch.spanIDs[row])
            try writeZipkinSpan(row, isShared: isShared, batch, &json)
        }
        json.endArray()
    }

    private static let zipkinKinds = ["", "", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]

    private static func writeZipkinSpan(
        _ i: Int, isShared: Bool, _ batch: SpanBatch, _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        let tags = try ZipkinTags(i, batch)
        json.beginObject()
        json.member("traceId", batch.traceIDs[i].description)
        if !batch.parentIDs[i].isZero { json.member("parentId", batch.parentIDs[i].description) }
        json.member("id", batch.spanIDs[i].description)
        let kind = Int(batch.kinds[i])
        if zipkinKinds.indices.contains(kind), !zipkinKinds[kind].isEmpty {
            json.member("kind", zipkinKinds[kind])
        }
        if !batch.names[i].isEmpty {
            json.key("name")
            batch.arena.withSlice(batch.names[i]) { json.string($0) }
        }
        let start = batch.startNanos[i]
        if start > 0 {
            json.key("timestamp")
            json.int(max(1, start / 1000))
        }
        let (length, overflow) = batch.endNanos[i].subtractingReportingOverflow(start)
        if !overflow, length > 0 {
            // A duration of 0 means unknown, so what is shorter than a microsecond takes one.
            json.key("duration")
            json.int(max(1, length / 1000))
        }
        let service = batch.resources[Int(batch.rowResources[i])].serviceName
        json.key("localEndpoint")
        json.beginObject()
        if !service.isEmpty {
            json.key("serviceName")
            batch.arena.withSlice(service) { json.string($0) }
        }
        json.endObject()
        tags.writeRemoteEndpoint(&json)
        try writeAnnotations(batch.events[i], batch, &json)
        json.key("tags")
        json.beginObject()
        for (key, value) in tags.list { json.member(key, value) }
        json.endObject()
        if isShared { json.member("shared", true) }
        json.endObject()
    }

    private static func writeAnnotations(
        _ events: ByteSlice, _ batch: SpanBatch, _ json: inout JSONWriter
    ) throws(MalformedBytes) {
        if events.isEmpty { return }
        json.key("annotations")
        json.beginArray()
        try batch.arena.readSlice(events) { (list) throws(MalformedBytes) in
            for event in try SpanEventCoding.decode(list) {
                json.beginObject()
                json.key("timestamp")
                json.int(event.nanos / 1000)
                var value = event.name
                if !event.attributes.isEmpty {
                    value += ": " + (try plainObject(event.attributes))
                }
                json.member("value", value)
                json.endObject()
            }
        }
        json.endArray()
    }

    /// An attribute list as a plain JSON object.
    fileprivate static func plainObject(_ list: [UInt8]) throws(MalformedBytes) -> String {
        var json = JSONWriter(reserving: list.count + 64)
        json.beginObject()
        try list.readBytes { (bytes) throws(MalformedBytes) in
            var reader = ByteReader(bytes)
            while !reader.isAtEnd {
                json.key(try reader.lengthPrefixed())
                try OTLPAttributes.writePlain(&reader, &json)
            }
        }
        json.endObject()
        return String(decoding: json.bytes, as: UTF8.self)
    }
}

/// The tags of one Zipkin span and what its remote endpoint is made of.
private struct ZipkinTags {
    private(set) var list: [(key: String, value: String)] = []
    private var known: Set<String> = []

    init(_ i: Int, _ batch: SpanBatch) throws(MalformedBytes) {
        try add(batch.attributes[i], batch)
        let scope = batch.scopes[Int(batch.rowScopes[i])]
        add("otel.scope.name", batch.arena.text(scope.name))
        add("otel.scope.version", batch.arena.text(scope.version))
        switch batch.statusCodes[i] {
        case 1: add("otel.status_code", "OK")
        case 2:
            add("otel.status_code", "ERROR")
            let message = batch.arena.text(batch.statusMessages[i])
            add("error", message.isEmpty ? "true" : message)
        default: break
        }
        add("w3c.tracestate", batch.arena.text(batch.traceStates[i]))
        try addLinks(batch.links[i], batch)
        try add(batch.resources[Int(batch.rowResources[i])].attributes, batch)
    }

    private mutating func add(_ key: String, _ value: String) {
        if value.isEmpty || !known.insert(key).inserted { return }
        list.append((key, value))
    }

    private mutating func add(
        _ slice: ByteSlice, _ batch: SpanBatch
    ) throws(MalformedBytes) {
        var found: [(String, String)] = []
        try batch.arena.readSlice(slice) { (bytes) throws(MalformedBytes) in
            var reader = ByteReader(bytes)
            while !reader.isAtEnd {
                let key = String(decoding: try reader.lengthPrefixed(), as: UTF8.self)
                var text: [UInt8] = []
                try OTLPAttributes.appendText(&reader, to: &text)
                // The endpoint says it already.
                if key != "service.name" {
                    found.append((key, String(decoding: text, as: UTF8.self)))
                }
            }
        }
        for (key, value) in found where known.insert(key).inserted { list.append((key, value)) }
    }

    private mutating func addLinks(
        _ slice: ByteSlice, _ batch: SpanBatch
    ) throws(MalformedBytes) {
        if slice.isEmpty { return }
        var texts: [String] = []
        try batch.arena.readSlice(slice) { (bytes) throws(MalformedBytes) in
            for link in try SpanLinkCoding.decode(bytes) {
                let attributes = try TraceAnswers.plainObject(link.attributes)
                texts.append("\(link.traceID)|\(link.spanID)|\(link.traceState)|\(attributes)")
            }
        }
        for (number, text) in texts.enumerated() { add("otlp.link.\(number)", text) }
    }

    private func first(_ keys: [String]) -> String? {
        for key in keys where known.contains(key) {
            if let value = list.first(where: { $0.key == key })?.value, !value.isEmpty {
                return value
            }
        }
        return nil
    }

    /// The peer by its first known name, address and port; nothing when there is none.
    func writeRemoteEndpoint(_ json: inout JSONWriter) {
        let name = first([
            "peer.service", "server.address", "net.peer.name", "network.peer.address",
        ])
        let address = first(["network.peer.address", "net.sock.peer.addr", "net.peer.ip"])
        let port = first(["network.peer.port", "server.port", "net.peer.port"]).flatMap { Int($0) }
        guard name != nil || address != nil else { return }
        json.key("remoteEndpoint")
        json.beginObject()
        if let name { json.member("serviceName", name) }
        if let address { json.member(address.contains(":") ? "ipv6" : "ipv4", address) }
        if let port, (1...65535).contains(port) { json.member("port", port) }
        json.endObject()
    }
}
