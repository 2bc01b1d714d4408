// SPDX-License-Identifier: Apache-2.0
// A shop that does not exist, and what goes wrong in it.

import Base

/// One step of a request: what a service does, whom it calls, what it logs.
struct DemoOperation: Sendable {
    var service: String
    var name: String
    /// OTLP's kinds: 1 internal, 2 server, 3 client.
    var kind = 2
    /// Mean of its own time.
    var ownMillis: Double
    var file = ""
    var line = 0
    var function = ""
    /// Log lines at its start and at its end.
    var before = ""
    var after = ""
    var children: [DemoOperation] = []
}

/// A span of a request that was played.
struct DemoSpan: Sendable, Equatable {
    var traceID: String
    var spanID: String
    var parentSpanID: String
    var service: String
    var name: String
    var kind: Int
    var startNanos: Int64
    var endNanos: Int64
    var version: String
    var file: String
    var line: Int
    var function: String
    /// Empty when all went well.
    var fault: String
}

/// A log line of a request.
struct DemoLine: Sendable, Equatable {
    var nanos: Int64
    var service: String
    var level: String
    var text: String
    var traceID: String
    var spanID: String
}

/// Plays requests of a small shop: five services and their databases. From a moment on the new
/// version of the payment service waits for a card processor that does not answer.
///
/// The same seed plays the same requests.
struct DemoShop: Sendable {
    /// What is planted: where the fault is.
    static let guilty = (
        service: "payment", operation: "authorise card", file: "payments/processor.go", line: 88
    )
    private static let faultText = "card processor timed out after 800 ms"
    private var random: SplitMix64
    /// When the incident begins; it does not end.
    let incidentNanos: Int64

    init(seed: UInt64, incidentNanos: Int64) {
        random = SplitMix64(seed: seed)
        self.incidentNanos = incidentNanos
    }

    /// Pages of the shop with how often each is asked for among ten requests.
    private static let pages: [(weight: Int, operation: DemoOperation)] = [
        (
            5,
            DemoOperation(
                service: "frontend", name: "GET /product/{id}", ownMillis: 4,
                before: "product page", after: "product page sent",
                children: [
                    DemoOperation(
                        service: "catalogue", name: "GetProduct", ownMillis: 3,
                        file: "catalogue/store.go", line: 41, function: "GetProduct",
                        before: "looking up product", after: "product found",
                        children: [
                            DemoOperation(
                                service: "catalogue", name: "SELECT product", kind: 3,
                                ownMillis: 6)
                        ])
                ])
        ),
        (
            3,
            DemoOperation(
                service: "frontend", name: "GET /cart", ownMillis: 3, before: "cart page",
                after: "cart page sent",
                children: [cart])
        ),
        (
            2,
            DemoOperation(
                service: "frontend", name: "POST /checkout", ownMillis: 6,
                before: "checkout begins", after: "checkout done",
                children: [
                    DemoOperation(
                        service: "checkout", name: "PlaceOrder", ownMillis: 5,
                        file: "checkout/order.go", line: 112, function: "PlaceOrder",
                        before: "placing order", after: "order placed",
                        children: [
                            cart,
                            DemoOperation(
                                service: "payment", name: "Charge", ownMillis: 4,
                                file: "payments/server.go", line: 52, function: "Charge",
                                before: "charging card", after: "card charged",
                                children: [
                                    DemoOperation(
                                        service: guilty.service, name: guilty.operation, kind: 1,
                                        ownMillis: 20, file: guilty.file, line: guilty.line,
                                        function: "authorise", before: "asking card processor",
                                        after: "card processor agreed")
                                ]),
                            DemoOperation(
                                service: "stock", name: "Reserve", ownMillis: 3,
                                file: "stock/reserve.py", line: 27, function: "reserve",
                                before: "reserving items", after: "items reserved",
                                children: [
                                    DemoOperation(
                                        service: "stock", name: "UPDATE stock", kind: 3,
                                        ownMillis: 8)
                                ]),
                        ])
                ])
        ),
    ]
    private static let cart = DemoOperation(
        service: "cart", name: "GetCart", ownMillis: 2, file: "cart/cart.rs", line: 19,
        function: "get_cart", before: "reading cart", after: "cart read",
        children: [DemoOperation(service: "cart", name: "GET cart", kind: 3, ownMillis: 1)])

    /// Services with metrics of their own.
    static let services = ["frontend", "catalogue", "cart", "checkout", "payment", "stock"]

    /// Plays one request that begins at a moment.
    mutating func play(at nanos: Int64) -> (spans: [DemoSpan], lines: [DemoLine]) {
        var turn = Int(random.next() % 10)
        var page = DemoShop.pages[0].operation
        for entry in DemoShop.pages {
            page = entry.operation
            turn -= entry.weight
            if turn < 0 { break }
        }
        var spans: [DemoSpan] = []
        var lines: [DemoLine] = []
        let trace = hex(random.next()) + hex(random.next() | 1)
        _ = play(page, at: nanos, trace: trace, parent: "", &spans, &lines)
        return (spans, lines)
    }

    /// - Returns: when it ended, and what went wrong.
    private mutating func play(
        _ operation: DemoOperation, at start: Int64, trace: String, parent: String,
        _ spans: inout [DemoSpan], _ lines: inout [DemoLine]
    ) -> (end: Int64, fault: String) {
        let id = hex(random.next() | 1)
        let place = spans.count
        let isGuilty =
            operation.service == Self.guilty.service && operation.name == Self.guilty.operation
            && start >= incidentNanos
        spans.append(
            DemoSpan(
                traceID: trace, spanID: id, parentSpanID: parent, service: operation.service,
                name: operation.name, kind: operation.kind, startNanos: start, endNanos: start,
                version: version(of: operation.service, at: start), file: operation.file,
                line: operation.line, function: operation.function, fault: ""))
        func say(_ level: String, _ text: String, at nanos: Int64) {
            guard !text.isEmpty else { return }
            lines.append(
                DemoLine(
                    nanos: nanos, service: operation.service, level: level,
                    text: "level=\(level) caller=\(caller(operation)) msg=\"\(text)\"",
                    traceID: trace, spanID: id))
        }
        let own = operation.ownMillis * spread() * 1e6
        var now = start &+ Int64(own * 0.3)
        say("info", operation.before, at: now)
        var fault = ""
        for child in operation.children {
            let (end, below) = call(
                child, from: operation, at: now, trace: trace, parent: id, &spans, &lines)
            now = end &+ Int64(own * 0.2)
            if !below.isEmpty {
                fault = below
                break
            }
        }
        if isGuilty {
            now &+= Int64(800e6 * (0.9 + 0.2 * fraction()))
            say("warn", "card processor does not answer, trying again", at: now)
            if random.next() % 10 < 4 { fault = Self.faultText }
        }
        now &+= Int64(own * 0.5)
        if fault.isEmpty {
            say("info", operation.after, at: now)
        } else {
            say("error", "\(operation.name) failed: \(fault)", at: now)
        }
        spans[place].endNanos = now
        spans[place].fault = fault
        return (now, fault)
    }

    /// A call to another service has a span on this side too, with the network's time around.
    private mutating func call(
        _ child: DemoOperation, from operation: DemoOperation, at start: Int64, trace: String,
        parent: String, _ spans: inout [DemoSpan], _ lines: inout [DemoLine]
    ) -> (end: Int64, fault: String) {
        guard child.service != operation.service else {
            return play(child, at: start, trace: trace, parent: parent, &spans, &lines)
        }
        let id = hex(random.next() | 1)
        let place = spans.count
        let network = Int64(300_000 * spread())
        spans.append(
            DemoSpan(
                traceID: trace, spanID: id, parentSpanID: parent, service: operation.service,
                name: child.service + "/" + child.name, kind: 3, startNanos: start,
                endNanos: start, version: version(of: operation.service, at: start), file: "",
                line: 0, function: "", fault: ""))
        let (end, fault) = play(
            child, at: start &+ network, trace: trace, parent: id, &spans, &lines)
        spans[place].endNanos = end &+ network
        spans[place].fault = fault
        return (end &+ network, fault)
    }

    private func caller(_ operation: DemoOperation) -> String {
        operation.file.isEmpty ? "main" : "\(operation.file):\(operation.line)"
    }

    private func version(of service: String, at nanos: Int64) -> String {
        service == Self.guilty.service && nanos >= incidentNanos ? "1.5.0" : "1.4.2"
    }

    /// 0 to 1.
    private mutating func fraction() -> Double {
        Double(random.next() >> 11) / 9_007_199_254_740_992
    }
    /// Around 1, with a tail.
    private mutating func spread() -> Double {
        let x = fraction()
        return 0.6 + 0.5 * fraction() + (x > 0.97 ? 2 * fraction() : 0)
    }

    private func hex(_ number: UInt64) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }
}
