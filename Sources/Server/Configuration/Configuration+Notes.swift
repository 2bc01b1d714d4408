// SPDX-License-Identifier: Apache-2.0
// What a configuration says that changes nothing.

extension Configuration {
    /// Adds a note for each thing that was accepted and has no effect.
    mutating func noteWhatIsUnused() {
        if !ruleFiles.isEmpty {
            notes.append("rule_files: without effect, since this version evaluates no rules")
        }
        if alerting != AlertingSettings() {
            notes.append("alerting: nothing is sent, since this version evaluates no rules")
        }
        if !remoteWrites.isEmpty {
            notes.append("remote_write: without effect, since this version sends nothing on")
        }
        if !remoteReads.isEmpty {
            notes.append(
                "remote_read: without effect, queries are answered from this server's own data")
        }
        if !externalLabels.isEmpty {
            notes.append(
                "external_labels: added to federation and remote read answers only, since this "
                    + "version sends nothing to others")
        }
        if tracing != nil {
            notes.append("tracing: without effect, this server sends no traces of itself")
        }
        if !global.queryLogFile.isEmpty {
            notes.append("global.query_log_file: without effect, use --query.log-file")
        }
        notes += storage.notes
    }
}
