// SPDX-License-Identifier: Apache-2.0
// The shop of the demo.

import Base
import Testing

@testable import Shell

private let incident: Int64 = 1_796_061_600_000_000_000

private func played(_ seed: UInt64, at nanos: Int64, _ count: Int) -> [DemoSpan] {
    var shop = DemoShop(seed: seed, incidentNanos: incident)
    return (0..<count).flatMap { shop.play(at: nanos + Int64($0) * 1_000_000_000).spans }
}

@Test func theSameSeedPlaysTheSameDay() {
    #expect(played(1, at: 0, 50) == played(1, at: 0, 50))
    #expect(played(1, at: 0, 50) != played(2, at: 0, 50))
}

@Test func theFaultIsInOnePlaceAndBeginsWithTheIncident() {
    let before = played(1, at: incident - 1_000_000_000_000, 500)
    let after = played(1, at: incident, 500)
    #expect(before.allSatisfy { $0.fault.isEmpty })
    #expect(after.contains { !$0.fault.isEmpty })
    func longest(_ spans: [DemoSpan], _ name: String) -> Int64 {
        spans.filter { $0.name == name }.map { $0.endNanos - $0.startNanos }.max() ?? 0
    }
    #expect(longest(before, DemoShop.guilty.operation) < 200_000_000)
    #expect(longest(after, DemoShop.guilty.operation) > 700_000_000)
    #expect(longest(after, "Reserve") < 200_000_000)
    // Children lie inside their parents.
    for span in after {
        guard let parent = after.first(where: { $0.spanID == span.parentSpanID }) else { continue }
        #expect(parent.startNanos <= span.startNanos && span.endNanos <= parent.endNanos)
    }
}

@Test func whatIsSentIsJSONAndAPage() throws {
    var shop = DemoShop(seed: 1, incidentNanos: incident)
    let request = shop.play(at: incident)
    let otlp = try JSONValue(parsing: DemoTraffic.otlp(request.spans))
    let spans = otlp["resourceSpans"].items.reduce(0) {
        $0 + $1["scopeSpans"][0]["spans"].items.count
    }
    #expect(spans == request.spans.count)
    let push = try JSONValue(parsing: DemoTraffic.push(request.lines))
    #expect(
        push["streams"].items.reduce(0) { $0 + $1["values"].items.count } == request.lines.count)
    var counters = DemoCounters()
    for span in request.spans { counters.add(span) }
    let page = counters.page(atNanos: incident)
    #expect(page.hasSuffix("# EOF\n"))
    #expect(page.contains("trace_id=\"\(request.spans[0].traceID)\""))
}
