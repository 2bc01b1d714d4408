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
