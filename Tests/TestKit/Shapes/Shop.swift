// SPDX-License-Identifier: Apache-2.0
// The system that the generated telemetry describes: a shop of a dozen services.

/// How a service writes its log lines.
package enum LineFormat: Int, Sendable, CaseIterable {
    case nginx, json, logfmt, java
}

/// A service of the shop.
package struct ShopService: Sendable {
    package var name: String
    package var language: String
    package var format: LineFormat
    /// Places in `Shop.services` of the services it calls.
    package var calls: [Int]
    /// What it asks its database, if it has one.
    package var database: String?
    package var operations: [String]
}

/// The services, who calls whom, and what visitors do.
package enum Shop {
    package static let services: [ShopService] = [
        ShopService(
            name: "gateway", language: "cpp", format: .nginx, calls: [1], database: nil,
            operations: ["GET /", "GET /product/{id}", "POST /cart", "POST /checkout"]),
        ShopService(
            name: "frontend", language: "nodejs", format: .json, calls: [2, 3, 4, 5, 6],
            database: nil, operations: ["render", "GET /api/products", "POST /api/checkout"]),
        ShopService(
            name: "catalogue", language: "go", format: .logfmt, calls: [7, 8],
            database: "postgresql", operations: ["ListProducts", "GetProduct", "SearchProducts"]),
        ShopService(
            name: "cart", language: "dotnet", format: .json, calls: [8], database: "redis",
            operations: ["GetCart", "AddItem", "EmptyCart"]),
        ShopService(
            name: "checkout", language: "go", format: .logfmt, calls: [3, 5, 6, 9, 10],
            database: "postgresql", operations: ["PlaceOrder"]),
        ShopService(
            name: "currency", language: "cpp", format: .logfmt, calls: [], database: nil,
            operations: ["Convert", "GetSupportedCurrencies"]),
        ShopService(
            name: "shipping", language: "rust", format: .json, calls: [11], database: nil,
            operations: ["GetQuote", "ShipOrder"]),
        ShopService(
            name: "recommendation", language: "python", format: .json, calls: [8], database: nil,
            operations: ["ListRecommendations"]),
        ShopService(
            name: "cache", language: "go", format: .logfmt, calls: [], database: "redis",
            operations: ["Get", "Set"]),
        ShopService(
            name: "payment", language: "java", format: .java, calls: [11], database: "mysql",
            operations: ["Charge", "Refund"]),
        ShopService(
            name: "notification", language: "java", format: .java, calls: [11], database: nil,
            operations: ["SendOrderConfirmation"]),
        ShopService(
            name: "fraud", language: "java", format: .java, calls: [], database: "mysql",
            operations: ["Score"]),
    ]
    /// Instances of each service.
    package static let pods = 3

    /// Name of a pod, as Kubernetes would have it.
    package static func pod(_ service: Int, _ pod: Int, seed: UInt64) -> String {
        let tail = Chance.hash(seed, UInt64(service), UInt64(pod))
        let letters = Array("bcdfghjklmnpqrstvwxz2456789".utf8)
        var name = services[service].name + "-6d8f9c7b54-"
        for i in 0..<5 {
            let place = Int((tail &>> (UInt64(i) * 8)) & 0xff) % letters.count
            name.unicodeScalars.append(UnicodeScalar(letters[place]))
        }
        return name
    }
}

/// When a generated run happens and which traces it has; logs and traces share it.
package struct Timeline: Sendable {
    package var seed: UInt64
    /// Start of everything, in nanoseconds since 1970.
    package var startNanos: Int64
    /// Time from one trace to the next, above 0.
    package var traceEveryNanos: Int64

    package init(seed: UInt64, startNanos: Int64, traceEveryNanos: Int64 = 20_000_000) {
        self.seed = seed
        self.startNanos = startNanos
        self.traceEveryNanos = traceEveryNanos
    }

    /// The run's name: label `cluster` of series and streams, `k8s.cluster.name` of resources.
    package var cluster: String { "lab-\(seed)" }
}
