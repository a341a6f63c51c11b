//! What each flow tells a language model before anything else: what the configuration says, else what the model was trained with
//! (its entry in `models.toml`), else a text that suits any model.

use nearfield_telemetry::table;

use crate::hub::registry::PromptForm;

/// The system text of the voice assistant.
pub fn voice_system(configured: &str, form: &PromptForm) -> String {
    let any = "You are Nearfield, a voice assistant at home. Answer in one or two short sentences.";
    chosen(configured, form.voice_system.as_deref(), any)
}

/// The system text of captions.
pub fn caption_system(configured: &str, form: &PromptForm) -> String {
    chosen(configured, form.caption_system.as_deref(), "You describe pictures in one sentence.")
}

/// The question of captions. What changes stands last: of a new picture only it and what closes the question are read. A model that
/// `sees` pictures itself was trained to be asked after it was shown one.
pub fn caption_question(configured: &str, form: &PromptForm, sees: bool) -> String {
    let any = if sees { "{picture}Describe this picture in one sentence." } else { "What do you see?\n{picture}" };
    chosen(configured, form.caption_question.as_deref(), any)
}

/// The system text of reports.
pub fn report_system(configured: &str, form: &PromptForm) -> String {
    chosen(configured, form.report_system.as_deref(), table::SYSTEM)
}

fn chosen(configured: &str, trained: Option<&str>, any: &str) -> String {
    if configured.is_empty() { trained.unwrap_or(any).to_owned() } else { configured.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_comes_before_the_model_s_entry_and_that_before_the_text_for_any_model() {
        let form = PromptForm { report_system: Some("trained".to_owned()), ..PromptForm::default() };
        assert_eq!(report_system("configured", &form), "configured");
        assert_eq!(report_system("", &form), "trained");
        assert_eq!(report_system("", &PromptForm::default()), table::SYSTEM);
    }
}
