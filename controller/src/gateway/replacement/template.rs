//! Which container a new one replaces.

use bollard::models::ContainerInspectResponse;

use super::{Create, Refusal, SERVICE_LABEL};

/// The one of the same name, else of the same compose service, else of the same image as it was named.
pub fn choose_template<'a>(
    create: &Create,
    candidates: &'a [ContainerInspectResponse],
) -> Result<&'a ContainerInspectResponse, Refusal> {
    let service = create.body.labels.as_ref().and_then(|labels| labels.get(SERVICE_LABEL));
    let by_name = candidates.iter().find(|candidate| {
        create.name.is_some()
            && candidate.name.as_deref().map(|name| name.trim_start_matches('/')) == create.name.as_deref()
    });
    let by_service = || {
        let of = |candidate: &&ContainerInspectResponse| {
            let labels = candidate.config.as_ref().and_then(|config| config.labels.as_ref());
            service.is_some() && labels.and_then(|labels| labels.get(SERVICE_LABEL)) == service
        };
        candidates.iter().find(of)
    };
    let by_image = || {
        let of = |candidate: &&ContainerInspectResponse| {
            let image = create.body.image.as_deref();
            let named = candidate.config.as_ref().and_then(|config| config.image.as_deref());
            image.is_some() && (named == image || candidate.image.as_deref() == image)
        };
        candidates.iter().find(of)
    };
    by_name.or_else(by_service).or_else(by_image).ok_or_else(|| {
        Refusal::forbidden(
            "a new container must replace one of the subject: give it the name (--name), the service (--label \
             com.docker.compose.service=SERVICE) or the image of one that is there or was there",
        )
    })
}
