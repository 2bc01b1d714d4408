// SPDX-License-Identifier: Apache-2.0
// The shop's traffic, sent to a server as real senders do.

import Base

/// Sends what the shop does: spans over OTLP, log lines over Loki's push, metrics as OpenMetrics
/// pages; first the past, then on at the speed of the clock.
package struct DemoTraffic: Sendable {
    private let client: ShellClient
    private let clock: any Clock
    private let seed: UInt64
    /// Requests a second.
    private let rate: Double
    /// Seconds of past to send, and how many of them the incident has lasted.
    private let historySeconds: Double
    private let incidentSeconds: Double
    /// Seconds that a batch covers.
    private static let tickSeconds = 5.0

    /// - Parameters:
    ///   - rate: requests a second, 0.2 to 1000.
    ///   - historySeconds: of past that is sent at once; the incident is its last third, three
    ///     minutes at most.
    package init(
        client: ShellClient, rate: Double, historySeconds: Double, seed: UInt64,
        clock: any Clock = SystemClock()
    ) {
        self.client = client
        self.rate = min(1000, max(0.2, rate))
        self.historySeconds = min(86_400, max(60, historySeconds))
        self.seed = seed
        self.clock = clock
        incidentSeconds = min(180, self.historySeconds / 3)
    }

    /// What was planted.
    package struct Planted: Sendable {
        package var startNanos: Int64
        package var endNanos: Int64
        /// A trace that the incident made slow.
        package var traceID: String
        package var requests: Int
    }

    /// Sends the past, tells what was planted, and goes on until the task is cancelled.
    ///
    /// - Throws: `ShellError` when the server refuses something or can't be reached.
    package func run(_ onPlanted: @Sendable (Planted) -> Void) async throws {
        let now = clock.wallNanos
        let begin = now &- Int64(historySeconds * 1e9)
        let incident = now &- Int64(incidentSeconds * 1e9)
        var shop = DemoShop(seed: seed, incidentNanos: incident)
        var counters = DemoCounters()
        var planted = Planted(startNanos: incident, endNanos: now, traceID: "", requests: 0)
        var slowest: Int64 = 0
        // What ends after the last moment would lie in the future.
        var tick = begin
        let tickNanos = Int64(Self.tickSeconds * 1e9)
        while tick < now &- tickNanos {
            let spans = try await send(from: tick, seconds: Self.tickSeconds, &shop, &counters)
            for span in spans where span.parentSpanID.isEmpty {
                planted.requests += 1
                if span.startNanos >= incident, span.endNanos &- span.startNanos > slowest {
                    slowest = span.endNanos &- span.startNanos
                    planted.traceID = span.traceID
                }
            }
            tick &+= tickNanos
        }
        onPlanted(planted)
        while !Task.isCancelled {
            let due = tick &+ tickNanos &+ 2_000_000_000
            let wait = Double(due &- clock.wallNanos) / 1e9
            if wait > 0 { try await clock.sleep(seconds: wait) }
            _ = try await send(from: tick, seconds: Self.tickSeconds, &shop, &counters)
            tick &+= tickNanos
        }
    }

    /// Plays and sends one stretch.
    private func send(
        from start: Int64, seconds: Double, _ shop: inout DemoShop, _ counters: inout DemoCounters
    ) async throws -> [DemoSpan] {
        let count = max(1, Int(clamping: rate * seconds))
        var spans: [DemoSpan] = []
        var lines: [DemoLine] = []
        for index in 0..<count {
            let at = start &+ Int64(seconds * 1e9 * Double(index) / Double(count))
            let played = shop.play(at: at)
            spans += played.spans
            lines += played.lines
        }
        for span in spans { counters.add(span) }
        _ = try await client.bytes(
            "/v1/traces", posting: ("application/json", DemoTraffic.otlp(spans)))
        _ = try await client.bytes(
            "/loki/api/v1/push", posting: ("application/json", DemoTraffic.push(lines)))
        let page = counters.page(atNanos: start &+ Int64(seconds * 1e9))
        _ = try await client.bytes(
            "/api/v1/import/prometheus",
            posting: ("application/openmetrics-text; version=1.0.0", Array(page.utf8)))
        return spans
    }

    /// An OTLP/JSON export request: a resource a service and version.
    static func otlp(_ spans: [DemoSpan]) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("resourceSpans")
        json.beginArray()
        let groups = Dictionary(grouping: spans) { [$0.service, $0.version] }
        for (key, group) in groups.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            json.beginObject()
            json.key("resource")
            json.beginObject()
            json.key("attributes")
            json.beginArray()
            attribute("service.name", key[0], into: &json)
            attribute("service.version", key[1], into: &json)
            attribute("service.instance.id", key[0] + "-0", into: &json)
            json.endArray()
            json.endObject()
            json.key("scopeSpans")
            json.beginArray()
            json.beginObject()
            json.key("spans")
            json.beginArray()
            for span in group { write(span, into: &json) }
            json.endArray()
            json.endObject()
            json.endArray()
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return json.bytes
    }

    private static func write(_ span: DemoSpan, into json: inout JSONWriter) {
        json.beginObject()
        json.member("traceId", span.traceID)
        json.member("spanId", span.spanID)
        if !span.parentSpanID.isEmpty { json.member("parentSpanId", span.parentSpanID) }
        json.member("name", span.name)
        json.member("kind", span.kind)
        json.member("startTimeUnixNano", String(span.startNanos))
        json.member("endTimeUnixNano", String(span.endNanos))
        json.key("attributes")
        json.beginArray()
        if !span.file.isEmpty {
            attribute("code.file.path", span.file, into: &json)
            attribute("code.function.name", span.function, into: &json)
            json.beginObject()
            json.member("key", "code.line.number")
            json.key("value")
            json.beginObject()
            json.member("intValue", String(span.line))
            json.endObject()
            json.endObject()
        }
        json.endArray()
        if !span.fault.isEmpty {
            json.key("status")
            json.beginObject()
            json.member("code", 2)
            json.member("message", span.fault)
            json.endObject()
        }
        json.endObject()
    }

    private static func attribute(_ name: String, _ value: String, into json: inout JSONWriter) {
        json.beginObject()
        json.member("key", name)
        json.key("value")
        json.beginObject()
        json.member("stringValue", value)
        json.endObject()
        json.endObject()
    }

    /// A push of Loki's: a stream a service, trace and level as structured metadata.
    static func push(_ lines: [DemoLine]) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("streams")
        json.beginArray()
        let groups = Dictionary(grouping: lines, by: \.service)
        for (service, group) in groups.sorted(by: { $0.key < $1.key }) {
            json.beginObject()
            json.key("stream")
            json.beginObject()
            json.member("service_name", service)
            json.member("env", "demo")
            json.endObject()
            json.key("values")
            json.beginArray()
            for line in group.sorted(by: { $0.nanos < $1.nanos }) {
                json.beginArray()
                json.string(String(line.nanos))
                json.string(line.text)
                json.beginObject()
                json.member("trace_id", line.traceID)
                json.member("span_id", line.spanID)
                json.member("detected_level", line.level)
                json.endObject()
                json.endArray()
            }
            json.endArray()
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return json.bytes
    }

    /// The three commands that find what was planted.
    package static func commands(_ planted: Planted, url: String) -> String {
        let from = rfc3339Text(nanos: planted.startNanos / 1_000_000_000 * 1_000_000_000)
        let to = rfc3339Text(nanos: (planted.endNanos / 1_000_000_000) * 1_000_000_000)
        let times = "--url \(url) --from \(from) --to \(to)"
        return """
            \(planted.requests) requests of a shop are stored; more come every 5 seconds.
            Something went wrong at \(from). Find it:

              tern why \(times)
              tern trace --url \(url) \(planted.traceID)
              tern query logs \(times) '{service_name="payment"} | detected_level=~"warn|error"'

            or look around with: tern shell --url \(url)
            Ctrl-C ends the demo.

            """
    }
}
