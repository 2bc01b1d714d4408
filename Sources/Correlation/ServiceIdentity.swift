// SPDX-License-Identifier: Apache-2.0
// Which service a label set belongs to.

import Base
import Telemetry

/// How a name of a service was found: `alias` is the text as it was sent, `source` the signal,
/// `rule` the label or attribute that held it.
package struct ServiceAlias: Sendable, Hashable, Comparable {
    package var alias: String
    package var source: String
    package var rule: String

    package init(alias: String, source: String, rule: String) {
        self.alias = alias
        self.source = source
        self.rule = rule
    }

    package static func < (a: ServiceAlias, b: ServiceAlias) -> Bool {
        (a.alias, a.source, a.rule) < (b.alias, b.source, b.rule)
    }
}

/// The service of a label set, with what led to it.
///
/// The first of these that names one:
///
/// 1. `service_name`, unless it is `unknown_service`
/// 2. `service`
/// 3. `app_kubernetes_io_name`, then the Kubernetes workload (`k8s_deployment_name`, …)
/// 4. `app`
/// 5. `application`
/// 6. `job`: `namespace/name` split at the last slash, or `name`; not one that a scrape
///    configuration gives to all pods alike (`kubernetes-pods`). Source of the split:
///    OpenTelemetry's Prometheus compatibility specification, "Resource Attributes".
/// 7. the container
/// 8. the pod, without what its ReplicaSet, Deployment or StatefulSet appended
/// 9. `service_name`, when it is `unknown_service`
///
/// Before all of them come the selectors of `IdentityOverrides`.
///
/// Of a log stream without `service_name` that label was made on the way in, as Loki does it, from
/// labels that may rank below `job` here, and with the whole of `job`. So that a stream and a series
/// of one job fall together, a `service_name` that only repeats such a label does not count when
/// `job` names a service.
struct ServiceIdentity: Equatable {
    /// A name that nobody gave. Source: OpenTelemetry's resource conventions, `service.name`.
    static let unknown = "unknown_service"

    private static let workloadLabels = [
        "app_kubernetes_io_name", "k8s_deployment_name", "k8s_statefulset_name",
        "k8s_daemonset_name", "k8s_cronjob_name", "k8s_job_name",
    ]
    private static let containerLabels = ["container", "container_name", "k8s_container_name"]
    private static let podLabels = ["pod", "pod_name", "k8s_pod_name"]
    /// Labels that Loki's discovery takes a `service_name` from and that rank below `job` here, or
    /// nowhere.
    private static let discoveredLabels =
        ["job", "name", "app_name", "component", "workload"] + containerLabels

    var name: String
    var namespace: String?
    var alias: String
    var rule: String

    /// Nil when no label names a service. O(labels).
    init?(_ labels: Labels) {
        let given = labels["service_name"]
        let isUnknown = given.map(ServiceIdentity.isUnknown) ?? false
        let job = ServiceIdentity.job(labels)
        let isRepeated =
            job != nil
            && ServiceIdentity.discoveredLabels.contains { labels[$0] == given && given != nil }
        func first(_ names: [String]) -> (value: String, rule: String)? {
            for name in names { if let value = labels[name] { return (value, name) } }
            return nil
        }
        namespace = labels["service_namespace"] ?? labels["namespace"]
        if !isUnknown, !isRepeated, let given {
            (name, alias, rule) = (given, given, "service_name")
        } else if let (value, label) = first(
            ["service"] + ServiceIdentity.workloadLabels + ["app", "application"])
        {
            (name, alias, rule) = (value, value, label)
        } else if let job {
            (name, alias, rule) = (job.name, job.alias, "job")
            namespace = job.namespace ?? namespace
        } else if let (value, label) = first(ServiceIdentity.containerLabels) {
            (name, alias, rule) = (value, value, label)
        } else if let (value, label) = first(ServiceIdentity.podLabels) {
            (name, alias, rule) = (ServiceIdentity.workload(ofPod: value), value, label)
        } else if let given {
            (name, alias, rule) = (given, given, "service_name")
        } else {
            return nil
        }
    }

    /// Labels that this type, `TargetTable` or `ServiceIndex.learn` look at.
    private static let lookedAt =
        [
            "service_name", "service", "app", "application", "job", "namespace",
            "service_namespace", "service_instance_id", "instance", "service_version", "version",
        ] + workloadLabels + containerLabels + podLabels + discoveredLabels

    /// By first byte of a name, the lengths of names that are looked at, a bit each: other labels
    /// that share both cost a little and change nothing.
    private static let lengthsByFirstByte: [UInt64] = {
        var lengths = [UInt64](repeating: 0, count: 256)
        for name in lookedAt {
            guard let first = name.utf8.first else { continue }
            lengths[Int(first)] |= 1 << UInt64(name.utf8.count & 63)
        }
        return lengths
    }()

    /// A hash of the labels of a series that say what it belongs to; nil for `target_info`, which
    /// says it of others. Two series with the same one belong to the same service and have the same
    /// instance and version, but for one pair in 2⁶⁴.
    static func key(ofSeries labels: UnsafeRawBufferPointer, seed: UInt64) -> UInt64? {
        if TargetTable.isTarget(labels) { return nil }
        var hash = seed
        lengthsByFirstByte.withUnsafeBufferPointer { lengths in
            forEachLabel(in: labels) { name, _, place in
                guard let first = name.first,
                    lengths[Int(first)] & 1 << UInt64(name.count & 63) != 0
                else { return }
                hash = hash64(UnsafeRawBufferPointer(rebasing: labels[place]), seed: hash)
            }
        }
        return hash
    }

    /// The service of a stream by the configuration's selectors, else by its labels.
    init?(ofStream labels: Labels, _ overrides: IdentityOverrides?) {
        guard let found = overrides?.identity(labels) ?? ServiceIdentity(labels) else { return nil }
        self = found
    }

    /// What `target_info` says of a series.
    init(target service: String, _ labels: Labels) {
        name = service
        namespace = labels["service_namespace"] ?? labels["namespace"]
        alias = TargetTable.key(labels) ?? service
        rule = TargetTable.rule
    }

    /// The service of a target by the labels of its `target_info`; nil when they say no more than
    /// `job`, which OpenTelemetry's exporters make of the service's name.
    static func service(ofTarget labels: Labels) -> String? {
        if let given = labels["service_name"], !isUnknown(given) { return given }
        return job(labels) == nil ? ServiceIdentity(labels)?.name : nil
    }

    /// Whether `target_info` of the same job and instance knows better: the name comes from `job`
    /// or something weaker.
    var yieldsToTarget: Bool {
        rule == "job" || ServiceIdentity.containerLabels.contains(rule)
            || ServiceIdentity.podLabels.contains(rule) || ServiceIdentity.isUnknown(name)
    }

    static func isUnknown(_ name: String) -> Bool {
        name == unknown || name.hasPrefix(unknown + ":")
    }

    private struct Job {
        var name: String
        var namespace: String?
        var alias: String
    }

    private static func job(_ labels: Labels) -> Job? {
        guard let value = labels["job"], !isGeneric(value) else { return nil }
        guard let slash = value.lastIndex(of: "/") else {
            return Job(name: value, namespace: nil, alias: value)
        }
        let rest = value[value.index(after: slash)...]
        if rest.isEmpty { return Job(name: value, namespace: nil, alias: value) }
        return Job(
            name: String(rest),
            namespace: slash > value.startIndex ? String(value[..<slash]) : nil, alias: value)
    }

    /// Jobs of the well-known Kubernetes scrape configurations: they name a kind of target.
    private static func isGeneric(_ job: String) -> Bool {
        let kinds = [
            "pods", "pods-slow", "endpoints", "service-endpoints", "service-endpoints-slow",
            "services", "nodes", "nodes-cadvisor", "cadvisor", "apiservers", "ingresses",
        ]
        return job.hasPrefix("kubernetes-") && kinds.contains(String(job.dropFirst(11)))
    }

    /// A pod's name without the ordinal of a StatefulSet, or the hashes of a Deployment and its
    /// ReplicaSet or of a DaemonSet. Kubernetes writes them with the letters and digits of its
    /// `rand.SafeEncodeString`, which has no vowels. Source: kubernetes/apimachinery
    /// `pkg/util/rand`.
    static func workload(ofPod pod: String) -> String {
        func isHash(_ text: Substring, _ counts: ClosedRange<Int>) -> Bool {
            counts.contains(text.utf8.count)
                && text.utf8.allSatisfy { "bcdfghjklmnpqrstvwxz2456789".utf8.contains($0) }
        }
        var parts = pod.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count > 1, let last = parts.last else { return pod }
        if !last.isEmpty, last.utf8.count <= 4, Int(last) != nil {
            parts.removeLast()
        } else if isHash(last, 5...5) {
            parts.removeLast()
            if parts.count > 1, let hash = parts.last, isHash(hash, 6...10) { parts.removeLast() }
        }
        return parts.joined(separator: "-")
    }
}

/// Which service a scrape target belongs to, as its `target_info` says: what OpenTelemetry's
/// exporters write beside the series of a resource, with its attributes as labels.
///
/// Bounded; when full, further targets are not learned.
struct TargetTable: Sendable {
    static let maxTargets = 200_000
    static let rule = "target_info"
    private var services: [String: String] = [:]

    /// What stands for a target: `{instance="…", job="…"}`; nil without both labels.
    static func key(_ labels: Labels) -> String? {
        guard let job = labels["job"], let instance = labels["instance"] else { return nil }
        return Labels([("instance", instance), ("job", job)]).description
    }

    /// Returns whether that was news.
    mutating func learn(_ key: String, service: String) -> Bool {
        if services[key] == service { return false }
        if services[key] == nil, services.count >= TargetTable.maxTargets { return false }
        services[key] = service
        return true
    }

    private func service(_ labels: Labels) -> String? {
        if services.isEmpty { return nil }
        return TargetTable.key(labels).flatMap { services[$0] }
    }

    /// The service of a series by the configuration's selectors, else by its labels, or by its target
    /// where that knows better.
    func identity(ofSeries labels: Labels, _ overrides: IdentityOverrides?) -> ServiceIdentity? {
        if let overridden = overrides?.identity(labels) { return overridden }
        let own = ServiceIdentity(labels)
        guard own?.yieldsToTarget ?? true || labels["__name__"] == TargetTable.rule,
            let service = service(labels)
        else { return own }
        return ServiceIdentity(target: service, labels)
    }

    /// Learns from the `target_info` series of a batch; true when there was news. One look at the
    /// name of each series.
    mutating func learn(_ batch: MetricBatch) -> Bool {
        let found = batch.arena.withUnsafeBytes { arena in
            batch.series.filter {
                TargetTable.isTarget(UnsafeRawBufferPointer(rebasing: arena[$0.slice.range]))
            }
        }
        var isNews = false
        for ref in found {
            let labels = batch.arena.labels(ref)
            guard let key = TargetTable.key(labels),
                let service = ServiceIdentity.service(ofTarget: labels)
            else { continue }
            if learn(key, service: service) { isNews = true }
        }
        return isNews
    }

    /// Whether labels are those of a `target_info`.
    @inline(__always)
    static func isTarget(_ labels: UnsafeRawBufferPointer) -> Bool {
        // `__name__` sorts before all names in small letters, so it nearly always comes first: a
        // length of 8, the name, and its value's length.
        if labels.count > 10, labels[0] == 8,
            labels.loadUnaligned(fromByteOffset: 1, as: UInt64.self).littleEndian
                == 0x5f5f_656d_616e_5f5f
        {
            return labels[9] == 11 && labels[10...].starts(with: rule.utf8)
        }
        return nameLabel.withUnsafeBytes { name in
            labelValue(of: name, in: labels)?.elementsEqual(rule.utf8) ?? false
        }
    }

    private static let nameLabel = Array("__name__".utf8)
}
