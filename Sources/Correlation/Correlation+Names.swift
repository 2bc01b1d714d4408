// SPDX-License-Identifier: Apache-2.0
// From labels and resources to the names of services, and back to the names spans carry.

import Storage
import Telemetry

extension Correlation {
    /// The service of a series by the configuration, its labels or its target; nil when none names one.
    package func serviceName(ofSeries labels: Labels, tenant: Tenant) -> String? {
        let overrides = overrides
        let found = targetTable(tenant).identity(ofSeries: labels, overrides)?.name
        return found.map { overrides?.entry(of: $0)?.name ?? $0 }
    }

    /// The service of a stream by the configuration or its labels; nil when neither names one.
    package func serviceName(ofStream labels: Labels) -> String? {
        let overrides = overrides
        let found = ServiceIdentity(ofStream: labels, overrides)?.name
        return found.map { overrides?.entry(of: $0)?.name ?? $0 }
    }

    /// The service of the resource of spans, `unknown_service` when nothing names it. O(1) without
    /// overrides.
    package func serviceName(ofResource resource: SpanBatch.Resource, in arena: [UInt8]) -> String {
        let recorded =
            resource.serviceName.isEmpty
            ? ServiceIdentity.unknown : arena.text(resource.serviceName)
        guard let overrides else { return recorded }
        let found = overrides.match(resource, arena)?.name ?? recorded
        return overrides.entry(of: found)?.name ?? found
    }

    /// The selector of the configuration that a stream satisfies; nil when there is none.
    package func override(ofStream labels: Labels) -> IdentityOverrides.Match? {
        overrides?.match(labels)
    }

    /// Whether the configuration says something of a service.
    package func isOverridden(_ name: String) -> Bool { overrides?.entry(of: name) != nil }

    /// Values of `service.name` on the spans of a service in the days of the range, ascending; its own
    /// name when no span is known. A selector of the configuration may leave other spans with the same
    /// value to other services.
    package func spanNames(
        ofService name: String, tenant: Tenant, range: NanosRange
    ) -> [String] {
        let shown = configuredName(name)
        guard isOverridden(shown), let service = collected(shown, tenant, range) else {
            return [shown]
        }
        return service.spanNames ?? [shown]
    }

    /// Gives the resources of a batch the names that their services have in answers. Nothing without
    /// overrides.
    package func rename(_ batch: inout SpanBatch) {
        if overrides == nil { return }
        for number in batch.resources.indices {
            let resource = batch.resources[number]
            let name = serviceName(ofResource: resource, in: batch.arena)
            let recorded = batch.arena.text(resource.serviceName)
            if name == recorded || recorded.isEmpty && name == ServiceIdentity.unknown { continue }
            batch.resources[number].serviceName = batch.arena.keep(name)
        }
    }
}

/// Under which names one service may be recorded.
struct RecordedNames {
    private let name: String
    /// Nil when the configuration says nothing of it.
    private let overrides: IdentityOverrides?

    init(of name: String, _ overrides: IdentityOverrides?) {
        let entry = overrides?.entry(of: name)
        self.name = entry?.name ?? name
        self.overrides = entry == nil ? nil : overrides
    }

    /// Names of the service that are keys, ascending. A look-up, unless it is overridden: then O(n).
    func all(in services: [String: ServiceIndex]) -> [String] {
        guard let overrides else { return services[name] == nil ? [] : [name] }
        return services.keys.filter { overrides.entry(of: $0)?.name == name }.sorted()
    }
}

extension ServiceIndex {
    /// Makes this, recorded under a name, fit for the service that the configuration says it is.
    mutating func rename(_ name: String, to entry: IdentityOverride) {
        if name != entry.name {
            aliases = Set(aliases.map(\.overridden))
            aliases.insert(ServiceAlias(configured: name))
        }
        if let namespace = entry.namespace { namespaces = [namespace] }
    }

    /// Values of `service.name` on its spans, ascending; nil when none is known.
    var spanNames: [String]? {
        let names = Set(aliases.filter { $0.source == "traces" }.map(\.alias))
        return names.isEmpty ? nil : names.sorted()
    }
}
