//! When somebody raised a number in a chapter's spec: the API server keeps whose field it is, and since when. Pure.

use crds::DemoChapter;
use jiff::Timestamp;
use kube::ResourceExt;

/// When `spec.FIELD` was last written, by the API server's clock and in whole seconds. The beginning of time if nobody
/// says.
#[must_use]
pub fn raised_at(chapter: &DemoChapter, field: &str) -> Timestamp {
    let field = format!("/f:spec/f:{field}");
    let entries = chapter.managed_fields().iter();
    let wrote =
        entries.filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer(&field).is_some()));
    wrote.filter_map(|entry| entry.time.as_ref().map(|time| time.0)).max().unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_who_wrote_the_field_counts() {
        let yaml = "{apiVersion: operator.dev/v1alpha1, kind: DemoChapter, metadata: {name: a, managedFields: [\
                    {manager: kubectl, operation: Update, time: '2026-01-28T20:54:48Z', fieldsType: FieldsV1, \
                     fieldsV1: {'f:spec': {'f:demo': {}, 'f:entered': {}}}}, \
                    {manager: tui, operation: Update, time: '2026-01-28T20:55:00Z', fieldsType: FieldsV1, \
                     fieldsV1: {'f:spec': {'f:entered': {}}}}, \
                    {manager: other, operation: Update, time: '2026-01-28T21:00:00Z', fieldsType: FieldsV1, \
                     fieldsV1: {'f:spec': {'f:title': {}}}}]}, \
                    spec: {demo: d, order: 1, title: t, subjectRef: {name: s}}}";
        let chapter: DemoChapter = serde_saphyr::from_str(yaml).unwrap();
        assert_eq!(raised_at(&chapter, "entered").to_string(), "2026-01-28T20:55:00Z");
        assert_eq!(raised_at(&chapter, "reset"), Timestamp::UNIX_EPOCH);
    }
}
