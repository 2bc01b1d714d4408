// SPDX-License-Identifier: Apache-2.0
// What `tern check config` looks at beyond the file itself.

import Base
import FoundationEssentials
import Rules
import Scrape
import Telemetry

extension Configuration {
    /// What there is, in a few words.
    package var summary: String {
        let parts = [
            (scrapes.count, "scrape configurations"), (ruleGroups.count, "rule groups"),
            (alerting.alertmanagers.count, "Alertmanager sections"),
            (remoteWrites.count, "remote writes"),
        ]
        return parts.filter { $0.0 > 0 || $0.1 == "scrape configurations" }
            .map { "\($0.0) \($0.1)" }.joined(separator: ", ")
    }

    /// The first job or rule group of a tenant whose data only a server with tenants can show.
    var foreignTenant: String? {
        for job in scrapes where job.tenant != .anonymous {
            return "tenant \(job.tenant) of job \(quotedText(job.jobName))"
        }
        for group in ruleGroups where group.tenant != .anonymous {
            return "tenant \(group.tenant) of rule group \(quotedText(group.name))"
        }
        return nil
    }

    /// Listed targets that relabelling leaves without an address that can be asked, each with who
    /// lists it. A server starts without them. Source: prometheus/prometheus `cmd/promtool/main.go`,
    /// `checkTargetGroupsForScrapeConfig`.
    package var uselessTargets: [String] {
        var faults: [String] = []
        for job in scrapes {
            for fault in makeTargets(job, groups: job.groups).errors {
                faults.append("job \(job.jobName): \(fault)")
            }
        }
        for alertmanager in alerting.alertmanagers {
            for group in alertmanager.groups {
                for target in group.targets where alertmanager.url(group, target) == nil {
                    let address = target.first { $0.name == "__address__" }?.value ?? ""
                    faults.append("alertmanagers: target \(address): is not a valid hostname")
                }
            }
        }
        return faults
    }

    /// What is wrong with files of targets, each with who names it. A server starts without them
    /// and takes them once they are right.
    package var faultyTargetFiles: [String] {
        func faults(_ discoveries: [DiscoveryConfiguration], _ place: String) -> [String] {
            discoveries.flatMap { discovery -> [String] in
                guard case .file(let settings) = discovery.settings else { return [] }
                return settings.faults(jsonOfYAML: jsonText(ofYAML:)).map { "\(place): \($0)" }
            }
        }
        return scrapes.flatMap { faults($0.discoveries, "job \($0.jobName)") }
            + alerting.alertmanagers.flatMap { faults($0.discoveries, "alertmanagers") }
    }

    /// Files that the configuration names and that are not there, each with who names it. They are
    /// read when they are used, so a server starts without them.
    package var missingFiles: [String] {
        var faults: [String] = []
        func check(_ path: String, _ place: String) {
            guard !path.isEmpty, !FilePattern.hasPattern(path),
                !FileManager.default.fileExists(atPath: path)
            else { return }
            faults.append("\(place): \(path) does not point to an existing file")
        }
        func check(_ client: HTTPClientSettings, _ place: String) {
            for path in client.files { check(path, place) }
        }
        func check(_ discoveries: [DiscoveryConfiguration], _ place: String) {
            for discovery in discoveries {
                check(HTTPClientSettings(discovery.client), "\(place), \(discovery.kind) discovery")
                if case .kubernetes(let settings) = discovery.settings {
                    check(settings.kubeconfigFile, "\(place), kubeconfig_file")
                }
            }
        }
        for path in ruleFiles { check(path, "rule_files") }
        for path in scrapeFiles { check(path, "scrape_config_files") }
        for job in scrapes {
            check(HTTPClientSettings(job.client), "job \(job.jobName)")
            check(job.discoveries, "job \(job.jobName)")
        }
        for alertmanager in alerting.alertmanagers {
            check(alertmanager.client, "alertmanagers")
            check(alertmanager.discoveries, "alertmanagers")
        }
        for write in remoteWrites { check(write.client, "remote_write \(write.url)") }
        for read in remoteReads { check(read.client, "remote_read \(read.url)") }
        return faults
    }
}

extension HTTPClientSettings {
    /// Files that texts come from.
    fileprivate var files: [String] {
        var sources: [TextSource?] = headers.flatMap(\.values)
        sources += [tls.authorities, tls.certificate, tls.key]
        switch authentication {
        case .none: break
        case .basic(let basic): sources += [basic.user, basic.password]
        case .authorization(let authorization): sources.append(authorization.credentials)
        case .oauth2(let oauth2):
            sources += [
                oauth2.clientSecret, oauth2.tls.authorities, oauth2.tls.certificate, oauth2.tls.key,
            ]
        }
        return sources.compactMap { source in
            if case .file(let path) = source { path } else { nil }
        }
    }
}
