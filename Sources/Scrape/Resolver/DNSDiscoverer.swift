// SPDX-License-Identifier: Apache-2.0
// Targets from DNS records. Source: prometheus/prometheus `discovery/dns/dns.go`.

import Base
import Synchronization

/// Looks all names up, each on its own: one that cannot be looked up keeps its targets.
final class DNSDiscoverer: RefreshingDiscoverer {
    static let path = "/etc/resolv.conf"

    private let settings: DNSDiscoverySettings
    private let type: DNSRecordType
    private let last = Mutex<[String: TargetGroup]>([:])
    var refreshSeconds: Double { settings.refreshSeconds }

    init(_ settings: DNSDiscoverySettings) {
        self.settings = settings
        type = DNSRecordType(named: settings.type) ?? .srv
    }

    func refresh(_ delivery: DiscoveryDelivery) async throws -> [TargetGroup] {
        let environment = delivery.environment
        let text = try await environment.read(Self.path)
        let random = environment.random
        let resolver = Resolver(
            transport: environment.dns,
            configuration: ResolverConfiguration(String(decoding: text, as: UTF8.self)),
            id: { UInt16(truncatingIfNeeded: random.next()) })
        return await refresh(delivery, resolver)
    }

    func refresh(_ delivery: DiscoveryDelivery, _ resolver: Resolver) async -> [TargetGroup] {
        let metrics = delivery.environment.metrics
        let type = self.type
        // A few at a time: a list of names shall not be a burst of packets.
        let names = Array(Set(settings.names)).sorted()
        var found: [String: TargetGroup] = [:]
        for start in stride(from: 0, to: names.count, by: 16) {
            let part = names[start..<min(start + 16, names.count)]
            await withTaskGroup(of: (String, Result<[DNSRecord], any Error>).self) { group in
                for name in part {
                    group.addTask {
                        do { return (name, .success(try await resolver.records(name, type))) } catch
                        { return (name, .failure(error)) }
                    }
                }
                for await (name, result) in group {
                    metrics.add(.dnsLookups)
                    switch result {
                    case .success(let records):
                        found[name] = TargetGroup(
                            source: name, targets: records.map { labels($0, name) })
                    case .failure(let error):
                        metrics.add(.dnsLookupFailures)
                        delivery.note("name not looked up: \(error)")
                        found[name] = last.withLock { $0[name] }
                    }
                }
            }
        }
        let result = found
        last.withLock { $0 = result }
        return Array(found.values)
    }

    private func labels(_ record: DNSRecord, _ name: String) -> [NamedText] {
        var labels = [NamedText("__meta_dns_name", name)]
        func address(_ host: String, _ port: Int) {
            // Rooted names look unusual in an address.
            let plain = host.hasSuffix(".") ? String(host.dropLast()) : host
            labels.append(NamedText("__address__", hostPort(plain, port)))
        }
        switch record {
        case .address(let host): address(host, settings.port)
        case .nameServer(let host):
            address(host, settings.port)
            labels.append(NamedText("__meta_dns_ns_record_target", host))
        case .mailExchange(let host):
            address(host, settings.port)
            labels.append(NamedText("__meta_dns_mx_record_target", host))
        case .service(let host, let port):
            address(host, port)
            labels.append(NamedText("__meta_dns_srv_record_target", host))
            labels.append(NamedText("__meta_dns_srv_record_port", String(port)))
        }
        return labels
    }
}
