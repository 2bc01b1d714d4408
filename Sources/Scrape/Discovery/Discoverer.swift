// SPDX-License-Identifier: Apache-2.0
// What a kind of discovery has to do.

import Base

/// One discovery at work.
protocol Discoverer: Sendable {
    /// Delivers targets until the task is cancelled.
    func run(_ delivery: DiscoveryDelivery) async
}

/// Where a discovery puts what it finds.
struct DiscoveryDelivery: Sendable {
    let environment: DiscoveryEnvironment
    let kind: String
    /// A set that asked for it, for metrics and the log.
    let set: String
    /// Puts these groups in place of all earlier ones.
    let replace: @Sendable ([TargetGroup]) -> Void
    /// Puts groups in place of those of the same sources; one without targets goes.
    let update: @Sendable ([TargetGroup]) -> Void
    /// The discovery has nothing to say: nobody need wait for it.
    let fail: @Sendable () -> Void

    var metricLabels: [NamedText] {
        [NamedText("mechanism", kind), NamedText("config", set)]
    }

    func note(_ message: String) { environment.note(message, kind, set) }
}

/// A discovery that asks for everything now and then.
protocol RefreshingDiscoverer: Discoverer {
    var refreshSeconds: Double { get }
    /// Everything there is now.
    ///
    /// - Throws: when that cannot be said; what was found before stays then.
    func refresh(_ delivery: DiscoveryDelivery) async throws -> [TargetGroup]
    /// Sleeps until it is time to refresh again.
    func pause(_ delivery: DiscoveryDelivery) async throws
}

extension RefreshingDiscoverer {
    func pause(_ delivery: DiscoveryDelivery) async throws {
        try await delivery.environment.clock.sleep(seconds: refreshSeconds)
    }

    func run(_ delivery: DiscoveryDelivery) async {
        let clock = delivery.environment.clock
        let metrics = delivery.environment.metrics
        metrics.add(.refreshFailures, delivery.metricLabels, 0)
        while !Task.isCancelled {
            let started = clock.monotonicNanos
            do {
                let groups = try await refresh(delivery)
                if Task.isCancelled { return }
                delivery.replace(groups)
            } catch {
                if Task.isCancelled { return }
                metrics.add(.refreshFailures, delivery.metricLabels)
                delivery.note("targets not refreshed: \(error)")
                delivery.fail()
            }
            metrics.add(.refreshes, delivery.metricLabels)
            metrics.add(
                .refreshSeconds, delivery.metricLabels,
                Double(clock.monotonicNanos &- started) / 1e9)
            do { try await pause(delivery) } catch { return }
        }
    }
}

/// A label name made of what any text may hold: all but letters, digits and underscores becomes an
/// underscore. Source: prometheus/prometheus `util/strutil`, `SanitizeLabelName`.
func sanitizedLabelName(_ text: String) -> String {
    var bytes: [UInt8] = []
    for scalar in text.unicodeScalars {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "_":
            bytes.append(UInt8(truncatingIfNeeded: scalar.value))
        default: bytes.append(UInt8(ascii: "_"))
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}

/// `host:port`, with brackets around an address of IPv6. Source: Go's `net.JoinHostPort`.
func hostPort(_ host: String, _ port: String) -> String {
    host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
}

func hostPort(_ host: String, _ port: Int) -> String { hostPort(host, String(port)) }
