// SPDX-License-Identifier: Apache-2.0
// Which names may mean the same service.

import Base

/// Looks for names that only some signals have, and for one of the others that may be the same.
struct NameProposals {
    let services: [ServiceCoverage]
    /// Most names that are compared with each other.
    private static let limit = 2000
    /// Words that say nothing about which service it is.
    private static let commonWords: Set<String> = [
        "service", "svc", "server", "app", "api", "prod", "production", "staging", "dev", "default",
        "k8s", "deployment", "pod",
    ]

    init(_ services: [ServiceCoverage]) {
        self.services = Array(services.prefix(NameProposals.limit))
    }

    var unmatched: [UnmatchedName] {
        let signals = services.map(NameProposals.signals)
        // A signal that no service has is not missing.
        let present = signals.reduce(into: [false, false, false]) { all, one in
            for i in 0..<3 where one[i] { all[i] = true }
        }
        var result: [UnmatchedName] = []
        for (index, service) in services.enumerated() {
            let mine = signals[index]
            guard (0..<3).contains(where: { present[$0] && !mine[$0] }) else { continue }
            // A partner has what this one lacks.
            let candidates = services.indices.filter { other in
                other != index && (0..<3).contains { signals[other][$0] && !mine[$0] }
                    && (0..<3).allSatisfy { !(signals[other][$0] && mine[$0]) }
            }
            let best = candidates.map {
                (services[$0].service, similarity(service.service, services[$0].service))
            }
            .filter { $0.1.value >= 0.5 }
            .max { ($0.1.value, $1.0) < ($1.1.value, $0.0) }
            var name = UnmatchedName(
                name: service.service, hasSpans: mine[0], hasLines: mine[1],
                hasSeries: mine[2], proposal: best?.0, reason: best?.1.reason)
            name.entry = name.proposal.map { entry(service.service, $0) }
            result.append(name)
        }
        return result
    }

    /// The same whichever of the two is looked at: the name of the one with spans, else the first.
    private func entry(_ a: String, _ b: String) -> String {
        func hasSpans(_ name: String) -> Bool {
            services.contains { $0.service == name && $0.spans > 0 }
        }
        let isFirst = hasSpans(a) == hasSpans(b) ? a < b : hasSpans(a)
        let (name, alias) = isFirst ? (a, b) : (b, a)
        // Quotes of JSON are also those of YAML.
        var json = JSONWriter()
        json.beginObject()
        json.member("name", name)
        json.key("aliases")
        json.beginArray()
        json.string(alias)
        json.endArray()
        json.endObject()
        return "- " + String(decoding: json.bytes, as: UTF8.self)
    }

    private static func signals(_ service: ServiceCoverage) -> [Bool] {
        [service.spans > 0, service.lines > 0, service.series > 0]
    }

    private func similarity(_ a: String, _ b: String) -> (value: Double, reason: String) {
        if folded(a) == folded(b) { return (1, "differs only in case and punctuation") }
        let x = NameProposals.words(a), y = NameProposals.words(b)
        if x.isEmpty || y.isEmpty { return (0, "") }
        if x == y { return (0.9, "differs only in words like “service”") }
        let common = Double(x.intersection(y).count), all = Double(x.union(y).count)
        return (
            common / all, "shares the words \(x.intersection(y).sorted().joined(separator: ", "))"
        )
    }

    private static func words(_ name: String) -> Set<String> {
        let parts = name.lowercased().utf8.split { byte in
            !(0x61...0x7a).contains(byte) && !(0x30...0x39).contains(byte)
        }
        return Set(parts.map { String(decoding: $0, as: UTF8.self) }).subtracting(commonWords)
    }
}
